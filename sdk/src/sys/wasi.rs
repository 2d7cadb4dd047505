//! Errors of WASI.

use crate::abi::status::Status;

/// The number of an error of WASI as a status. 0 is none; 52, 58 and 76 say that the host does not
/// have the function, or does not let the module use it.
pub(crate) fn check_wasi(error: u32) -> Result<(), Status> {
    match error {
        0 => Ok(()),
        52 | 58 | 76 => Err(Status::UNIMPLEMENTED),
        _ => Err(Status::INTERNAL_FAILURE),
    }
}
