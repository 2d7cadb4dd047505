//! Errors of WASI.

use crate::abi::status::Status;

/// Converts an error number of WASI to a status. 0 is success. With 52, 58 and 76, the host does
/// not have the function, or does not allow the module to use it.
pub(crate) fn check_wasi(error: u32) -> Result<(), Status> {
    match error {
        0 => Ok(()),
        52 | 58 | 76 => Err(Status::UNIMPLEMENTED),
        _ => Err(Status::INTERNAL_FAILURE),
    }
}
