//! Properties (Envoy calls them attributes) of the request, the connection, the route and the
//! plugin, as the host's bytes.

use crate::abi::path;
use crate::abi::status::Status;
use crate::error::{Error, Result};
use crate::sys;

/// Returns the value of a property in the host's encoding, or `None` if it does not exist.
///
/// The path has one string for each part: `["request", "headers", "user-agent"]`,
/// `["xds", "route_name"]`, `["plugin_name"]`. Strings and bytes are returned unchanged; integers,
/// durations and times are 8 bytes in little endian (nanoseconds for the latter two); a boolean is
/// one byte.
///
/// Works in every callback, but the available properties depend on the phase and the host: request
/// attributes before the stream ends, `upstream` and `xds.upstream_host_metadata` after a host is
/// chosen, and on a root context only `plugin_*` and `xds.node`.
///
/// ```
/// use proxy_filter::{Result, property};
///
/// fn route() -> Result<Option<String>> {
///     Ok(property::get(&["xds", "route_name"])?.and_then(|name| String::from_utf8(name).ok()))
/// }
/// ```
///
/// # Errors
/// [`Refused`](crate::ErrorKind::Refused) with [`Status::SERIALIZATION_FAILURE`] for an empty path,
/// or a value that the host cannot encode (null, or a map or list with a null in it).
///
/// Source: ABI 0.2.1, `proxy_get_property`; Envoy 1.40, "Attributes".
#[doc(alias = "proxy_get_property")]
#[doc(alias = "attribute")]
#[inline]
pub fn get(path: &[&str]) -> Result<Option<Vec<u8>>> {
    get_encoded(&path::encode(path))
}

/// Like [`get`], for a path whose parts are already joined with NUL, as in constants.
#[inline]
pub(crate) fn get_encoded(path: &[u8]) -> Result<Option<Vec<u8>>> {
    match sys::proxy_get_property(path) {
        Ok(value) => Ok(Some(value)),
        Err(Status::NOT_FOUND) => Ok(None),
        Err(status) => Err(Error::host("proxy_get_property", status)),
    }
}

/// Stores a value with the stream, for filters after this one, the response callbacks, and access
/// logs.
///
/// Envoy stores it as filter state under `wasm.` and the name. Access logs read it as
/// `%FILTER_STATE(wasm.name)%`, and [`get`] as `["name"]` or `["filter_state", "wasm.name"]`. The
/// name is one part, because Envoy cannot read back a path of several parts.
///
/// The value cannot hide a property that the host provides. It can have the name of a property that
/// this host does not provide: `route_name`, for example, which Envoy no longer uses since 1.33.
/// [`get`] then returns the filter's value; [`stream_info`](crate::stream_info) and
/// [`metadata`](crate::metadata) do not.
///
/// Works on streams only.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) on a root context;
/// [`WrongPhase`](crate::ErrorKind::WrongPhase) for a name that was declared read-only.
///
/// Source: ABI 0.2.1, `proxy_set_property`; Envoy 1.40, `setProperty`.
#[doc(alias = "proxy_set_property")]
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<()> {
    sys::proxy_set_property(name.as_bytes(), value.as_ref()).map_err(|status| Error::host("proxy_set_property", status))
}
