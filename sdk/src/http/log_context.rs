//! [`LogContext`]: what [`on_log`](crate::Context::on_log) can read of a stream.

use crate::abi::map_type::MapType;
use crate::fields::header_map::HeaderMap;

/// The headers of both messages and the response's trailers, read-only, in
/// [`on_log`](crate::Context::on_log).
///
/// If a message did not arrive, its fields are missing: a request that was rejected early may have
/// no headers here. Envoy does not give access to request trailers in this phase.
///
/// ```
/// # use proxy_filter::prelude::*;
/// fn line(log: &LogContext) -> Result<String> {
///     let path = log.request_headers().get(":path")?.unwrap_or_default();
///     let status = log.response_headers().get(":status")?.unwrap_or_default();
///     Ok(format!("{path} {status}"))
/// }
/// ```
///
/// Source: context API, "onLog".
#[derive(Debug)]
pub struct LogContext {
    request_headers: HeaderMap,
    response_headers: HeaderMap,
    response_trailers: HeaderMap,
}

impl LogContext {
    pub(crate) const fn new() -> Self {
        Self {
            request_headers: HeaderMap::new(MapType::REQUEST_HEADERS),
            response_headers: HeaderMap::new(MapType::RESPONSE_HEADERS),
            response_trailers: HeaderMap::new(MapType::RESPONSE_TRAILERS),
        }
    }

    /// Returns the request's headers as they were sent to the upstream.
    pub const fn request_headers(&self) -> &HeaderMap {
        &self.request_headers
    }

    /// Returns the response's headers as they were sent to the client.
    pub const fn response_headers(&self) -> &HeaderMap {
        &self.response_headers
    }

    /// Returns the response's trailers.
    pub const fn response_trailers(&self) -> &HeaderMap {
        &self.response_trailers
    }
}
