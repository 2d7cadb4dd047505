//! Headers and trailers of a stream: [`RequestHeaders`], [`ResponseHeaders`], [`RequestTrailers`], [`ResponseTrailers`].

use crate::abi::map_type::MapType;
use crate::error::Result;
use crate::error::local_reply::LocalReply;
pub(crate) use crate::fields::header_map::ContentLength;
pub(crate) use crate::fields::header_map::HeaderMap;
use crate::fields::header_value::HeaderValue;
use crate::http::filter_status::{FilterHeadersStatus, FilterTrailersStatus};
use core::ops::{Deref, DerefMut};

/// A phase's own handle: the fields it holds, and the reply it can return instead.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $map:ident, $status:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(HeaderMap);

        impl $name {
            /// The map, and what is known about `content-length` from an earlier callback for it.
            pub(crate) const fn new(content_length: ContentLength) -> Self {
                Self(HeaderMap::with(MapType::$map, content_length))
            }

            /// The result that answers the client with `reply` and ends the stream.
            ///
            /// It is a value: nothing happens unless the callback returns it.
            ///
            /// # Errors
            /// None: a callback returns a `Result`. What cannot be sent of a reply is left out, see [`LocalReply`].
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
    /// The request's headers, in [`on_request_headers`](crate::Context::on_request_headers) only: after that callback they go on to the
    /// upstream and cannot be reached any more.
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
    /// The response's headers, in [`on_response_headers`](crate::Context::on_response_headers) only.
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
    /// The request's trailers, in [`on_request_trailers`](crate::Context::on_request_trailers) only. They exist only if the client sent some.
    RequestTrailers, REQUEST_TRAILERS, FilterTrailersStatus
}

handle! {
    /// The response's trailers, in [`on_response_trailers`](crate::Context::on_response_trailers) only. They exist only if the upstream sent
    /// some.
    ResponseTrailers, RESPONSE_TRAILERS, FilterTrailersStatus
}

/// One accessor a pseudo-header.
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
        /// `:method`, for example `GET`.
        method = ":method";
        /// `:path`, with the query: `/a?b=c`. `None` only for `CONNECT`.
        path = ":path";
        /// `:authority`: what HTTP/1 calls `host`.
        authority = ":authority";
        /// `:scheme`: `http` or `https`.
        scheme = ":scheme";
    }
}

impl ResponseHeaders {
    /// `:status`, for example 200. `None` if it is missing or not a number.
    ///
    /// # Errors
    /// As [`get`](HeaderMap::get).
    pub fn status(&self) -> Result<Option<u16>> {
        Ok(self.get(":status")?.and_then(|value| value.to_str().ok().and_then(|text| text.parse().ok())))
    }
}
