//! [`LogContext`]: what a stream leaves behind for its log.

use crate::abi::map_type::MapType;
use crate::fields::header_map::HeaderMap;

/// What can be read in [`on_log`](crate::Context::on_log): the headers of both sides, and the response's trailers. None can be changed.
///
/// Fields of a message that never came are missing: a request that was refused early may have no headers here. Request trailers
/// cannot be read at this time in Envoy.
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

    /// The request's headers, as they went to the upstream.
    pub const fn request_headers(&self) -> &HeaderMap {
        &self.request_headers
    }

    /// The response's headers, as they went to the client.
    pub const fn response_headers(&self) -> &HeaderMap {
        &self.response_headers
    }

    /// The response's trailers.
    pub const fn response_trailers(&self) -> &HeaderMap {
        &self.response_trailers
    }
}
