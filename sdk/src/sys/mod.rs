//! The host functions, and the only unsafe code of the crate: what calls them, what adopts their
//! memory, a conversion of text, a box with one destructor, and the index that tables of all types
//! share.
//!
//! [`for_each_host_function`](crate::__for_each_host_function) is the only list of host functions.
//! Three parts are generated from it: the wasm imports with their safe wrappers (`wasm.rs`), the
//! same functions on other targets (`native.rs`), and the table of the embedded host. On other
//! targets, a thread-local [`HostFunctions`](native::HostFunctions) implements the functions. A
//! wrapper takes and returns only values: memory that the host allocated is adopted once, and
//! results are initialised. Any status but `Ok` is an `Err` that preserves its number.

#[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
pub(crate) mod allocator;
#[cfg(all(target_arch = "wasm32", target_os = "unknown", feature = "getrandom"))]
#[allow(unsafe_code, reason = "the interface of the crate `getrandom` is one of pointers")]
pub(crate) mod getrandom;
pub(crate) mod list;
#[cfg(not(target_family = "wasm"))]
pub mod native;
#[allow(unsafe_code, reason = "a destructor that takes its content by value")]
pub(crate) mod owned;
#[cfg(any(test, all(target_family = "wasm", feature = "log-out-of-memory", not(feature = "wee_alloc"))))]
#[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
pub(crate) mod small_blocks;
#[allow(unsafe_code, reason = "one index serves tables of all types")]
pub(crate) mod table;
#[allow(unsafe_code, reason = "a conversion the standard library has only unchecked or twice as slow")]
pub(crate) mod text;
pub(crate) mod wasi;
#[cfg(target_family = "wasm")]
#[allow(
    unsafe_code,
    reason = "host functions are foreign functions, and the host writes into memory this module allocated"
)]
pub(crate) mod wasm;

use crate::abi::status::Status;
pub use crate::sys::allocator::LogOutOfMemory;

/// The random bytes that Envoy fills at once.
pub(crate) const AT_ONCE: usize = 64 * 1024;

/// Fills bytes with random ones, however many.
#[inline]
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Status> {
    bytes.chunks_mut(AT_ONCE).try_for_each(random_get)
}

#[cfg(not(target_family = "wasm"))]
pub use native::*;
#[cfg(target_family = "wasm")]
pub use wasm::*;
