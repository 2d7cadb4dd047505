//! The backend of the crate `getrandom` for `wasm32-unknown-unknown`.

use getrandom::Error;

/// The crate calls this function if it is compiled with `--cfg getrandom_backend="custom"`. Its
/// versions 0.3 and 0.4 use this name.
///
/// # Safety
/// `bytes` points to `size` bytes that may be written. They need not be initialised.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(bytes: *mut u8, size: usize) -> Result<(), Error> {
    // SAFETY: by the contract of this function, all of them may be written.
    unsafe { bytes.write_bytes(0, size) };
    // SAFETY: the bytes are now initialised, and no other code accesses them during the call.
    let bytes = unsafe { core::slice::from_raw_parts_mut(bytes, size) };
    crate::sys::fill_random(bytes).map_err(|_| Error::UNSUPPORTED)
}
