//! Foreign functions: functions of a host beyond the ABI, called by name. Envoy's functions have
//! typed wrappers here and in [`filter_state`](crate::filter_state).
//!
//! ```
//! use proxy_filter::{Result, foreign};
//!
//! fn pack(body: &[u8]) -> Result<Vec<u8>> {
//!     foreign::compress(body)
//! }
//! ```
//!
//! | Envoy's function | Here |
//! |---|---|
//! | `compress`, `uncompress` | [`compress`], [`uncompress`] |
//! | `clear_route_cache` | [`clear_route_cache`] |
//! | `expr_create`, `expr_evaluate`, `expr_delete` | [`Expression`] |
//! | `sign`, `verify_signature` | [`sign`], [`verify_signature`] |
//! | `declare_property` | [`filter_state::Declaration`](crate::filter_state::Declaration) |
//! | `set_envoy_filter_state` | [`filter_state::set_envoy`](crate::filter_state::set_envoy) |
//!
//! If a host does not have the function, the call fails with [`NotFound`](ErrorKind::NotFound). The
//! embedded host has all functions of Envoy. Expressions need its feature `expressions`, and
//! signatures its feature `signatures`.
//!
//! A function may call the module, during the call or later. The SDK then calls
//! [`on_foreign_function`](crate::RootContext::on_foreign_function) of the calling context. No
//! function of Envoy does this.
//!
//! Source: ABI 0.2.1, `proxy_call_foreign_function`; Envoy 1.40, `foreign.cc`.

pub(crate) mod expression;
pub(crate) mod signature;

use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
pub use crate::host::foreign::expression::{Expression, Match};
pub use crate::host::foreign::signature::{Key, Verdict, sign, verify_signature};
use crate::sys;

const CALL: &str = "proxy_call_foreign_function";

/// Calls a function of the host. The function defines the format of its argument and result.
///
/// Works in every callback, as far as the function does. It runs before this returns.
///
/// ```
/// # use proxy_filter::{Result, foreign};
/// fn answer() -> Result<Vec<u8>> {
///     foreign::call("my_function", b"argument")
/// }
/// ```
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if the host has no function of this name; everything else is
/// up to the function.
#[doc(alias = "proxy_call_foreign_function")]
#[doc(alias = "call_foreign_function")]
pub fn call(name: &str, argument: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    sys::proxy_call_foreign_function(name.as_bytes(), argument.as_ref()).map_err(|status| Error::host(CALL, status))
}

/// Calls a function that gives the statuses its own meaning. `kind` maps them to error kinds.
#[inline]
pub(crate) fn typed(name: &str, argument: &[u8], kind: fn(Status) -> Option<ErrorKind>) -> Result<Vec<u8>> {
    sys::proxy_call_foreign_function(name.as_bytes(), argument).map_err(|status| match kind(status) {
        Some(kind) => Error::host_as(CALL, status, kind),
        None => Error::host(CALL, status),
    })
}

/// The bytes compressed with zlib (RFC 1950).
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) on hosts without the function.
pub fn compress(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    call("compress", bytes)
}

/// The bytes that were compressed with zlib (RFC 1950).
///
/// The host sets no limit to the size of the result: a few kilobytes from a client can become
/// gigabytes, for which the module has no memory.
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed) if they are not; [`NotFound`](ErrorKind::NotFound) on hosts
/// without the function.
pub fn uncompress(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    typed("uncompress", bytes.as_ref(), |status| {
        (status == Status::SERIALIZATION_FAILURE).then_some(ErrorKind::Malformed)
    })
}

/// Makes the host choose the route again, for the edited request. Editing a request header has the
/// same effect.
///
/// Has an effect only in the request callbacks of a stream. A host without this function chooses
/// the route when it first needs it, so the filter may ignore [`NotFound`](ErrorKind::NotFound).
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) on hosts without the function.
#[doc(alias = "proxy_clear_route_cache")]
#[inline]
pub fn clear_route_cache() -> Result<()> {
    call("clear_route_cache", b"").map(drop)
}
