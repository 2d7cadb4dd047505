//! Headers and trailers of a stream: [`RequestHeaders`], [`ResponseHeaders`], [`RequestTrailers`],
//! [`ResponseTrailers`].

use crate::abi::map_type::MapType;
use crate::error::Result;
use crate::error::local_reply::LocalReply;
pub(crate) use crate::fields::header_map::ContentLength;
pub(crate) use crate::fields::header_map::HeaderMap;
use crate::fields::header_value::HeaderValue;
use crate::http::filter_status::{FilterHeadersStatus, FilterTrailersStatus};
use core::ops::{Deref, DerefMut};

/// Defines the handle of one phase: its fields, and the local reply that its callback can return.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $map:ident, $status:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(HeaderMap);

        impl $name {
            /// Creates the handle. `content_length` is what an earlier callback of the message
            /// recorded.
            pub(crate) const fn new(content_length: ContentLength) -> Self {
                Self(HeaderMap::with(MapType::$map, content_length))
            }

            /// Returns the result that sends `reply` to the client and ends the stream.
            ///
            /// The reply is a value: nothing is sent unless the callback returns it.
            ///
            /// # Errors
            /// None: the return type is the one that a callback needs. A header or body that cannot
            /// be sent is left out of the reply: see [`LocalReply`].
            #[inline]
            pub fn reply(&self, reply: LocalReply) -> Result<$status> {
                Ok(reply.into())
            }
        }

        impl Deref for $name {
            type Target = HeaderMap;

            fn deref(&self) -> &HeaderMap {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut HeaderMap {
                &mut self.0
            }
        }
    };
}

handle! {
    /// The request's headers. Available in
    /// [`on_request_headers`](crate::Context::on_request_headers) only: when that callback has
    /// returned, the host may forward them.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn tag(request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    ///     if request.method()?.is_some_and(|method| method == "TRACE") {
    ///         return request.reply(LocalReply::new(405));
    ///     }
    ///     request.replace("x-tag", "1")?;
    ///     Ok(FilterHeadersStatus::Continue)
    /// }
    /// ```
    RequestHeaders, REQUEST_HEADERS, FilterHeadersStatus
}

handle! {
    /// The response's headers. Available in
    /// [`on_response_headers`](crate::Context::on_response_headers) only.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// fn hide_errors(response: &mut ResponseHeaders) -> Result<FilterHeadersStatus> {
    ///     if response.status()?.is_some_and(|status| status >= 500) {
    ///         return response.reply(LocalReply::new(502).body("try again later\n"));
    ///     }
    ///     Ok(FilterHeadersStatus::Continue)
    /// }
    /// ```
    ResponseHeaders, RESPONSE_HEADERS, FilterHeadersStatus
}

handle! {
    /// The request's trailers. Available in
    /// [`on_request_trailers`](crate::Context::on_request_trailers) only, which is called only if
    /// the client sent trailers.
    RequestTrailers, REQUEST_TRAILERS, FilterTrailersStatus
}

handle! {
    /// The response's trailers. Available in
    /// [`on_response_trailers`](crate::Context::on_response_trailers) only, which is called only if
    /// the upstream sent trailers.
    ResponseTrailers, RESPONSE_TRAILERS, FilterTrailersStatus
}

/// Defines one accessor for each pseudo-header.
macro_rules! pseudo {
    ($($(#[$doc:meta])* $name:ident = $header:literal;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`get`](HeaderMap::get).
            pub fn $name(&self) -> Result<Option<HeaderValue>> {
                self.get($header)
            }
        )*
    };
}

impl RequestHeaders {
    pseudo! {
        /// Returns `:method`, for example `GET`.
        method = ":method";
        /// Returns `:path`, including the query: `/a?b=c`. `None` for `CONNECT` only.
        path = ":path";
        /// Returns `:authority`, which HTTP/1 calls `host`.
        authority = ":authority";
        /// Returns `:scheme`: `http` or `https`.
        scheme = ":scheme";
    }
}

impl ResponseHeaders {
    /// Returns `:status`, for example 200. `None` if it is missing or not a number.
    ///
    /// # Errors
    /// As [`get`](HeaderMap::get).
    pub fn status(&self) -> Result<Option<u16>> {
        Ok(self.get(":status")?.and_then(|value| value.to_str().ok().and_then(|text| text.parse().ok())))
    }
}
