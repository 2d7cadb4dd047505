//! The host functions, and the only unsafe code of the crate: what calls them, what adopts their memory, and one conversion of text.
//!
//! [`for_each_host_function`](crate::__for_each_host_function) is the one list. From it come the wasm imports with their safe
//! wrappers (`wasm.rs`), the same functions on other targets, where a thread-local [`HostFunctions`](native::HostFunctions)
//! answers (`native.rs`), and the table of the embedded host. A wrapper takes and returns values only: what the host allocated
//! is adopted once, outs are initialised, and any status but `Ok` is an `Err` that keeps its number.

mod list;
#[cfg(not(target_family = "wasm"))]
pub mod native;
#[allow(unsafe_code, reason = "a conversion the standard library has only unchecked or twice as slow")]
mod text;
#[cfg(target_family = "wasm")]
#[allow(
    unsafe_code,
    reason = "host functions are foreign functions, and the host writes into memory this module allocated"
)]
mod wasm;

pub(crate) use text::{plain_ascii, printable_ascii};

#[cfg(not(target_family = "wasm"))]
pub use native::*;
#[cfg(target_family = "wasm")]
pub use wasm::*;
