//! Resetting a stream without a reply: `close_stream` of the handles of messages.

use crate::error::Result;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};

macro_rules! close_stream {
    ($($handle:ident -> $status:ident;)*) => {
        $(impl $handle {
            /// Returns the result that resets the stream: `return request.close_stream();`. Nothing
            /// happens until the callback returns it.
            ///
            /// The client receives no response, or a truncated one, and Envoy also resets the
            /// upstream's stream. An HTTP/1 connection is closed; on an HTTP/2 connection only this
            /// stream ends. [`on_log`](crate::Context::on_log),
            /// [`on_done`](crate::Context::on_done) and [`on_delete`](crate::Context::on_delete)
            /// follow. These three callbacks have no handle with this method, because Envoy crashes
            /// if a module resets a stream there.
            ///
            /// To tell the client the reason, return [`reply`](Self::reply) instead.
            ///
            /// If the host refuses to reset the stream, the stream stays paused.
            ///
            /// # Errors
            /// None: the return type is the one that a callback needs.
            ///
            /// Source: ABI 0.2.1, `proxy_close_stream`; Envoy 1.40, `Context::closeStream`.
            #[doc(alias = "proxy_close_stream")]
            #[doc(alias = "closeRequest")]
            #[doc(alias = "closeResponse")]
            #[doc(alias = "reset_http_request")]
            #[doc(alias = "reset_http_response")]
            #[inline]
            pub fn close_stream(&self) -> Result<$status> {
                Ok($status::CloseStream)
            }
        })*
    };
}

close_stream! {
    RequestHeaders -> FilterHeadersStatus;
    RequestBody -> FilterDataStatus;
    RequestTrailers -> FilterTrailersStatus;
    ResponseHeaders -> FilterHeadersStatus;
    ResponseBody -> FilterDataStatus;
    ResponseTrailers -> FilterTrailersStatus;
}
