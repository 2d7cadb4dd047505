//! Ending a stream without an answer: `close_stream` of the handles of messages.

use crate::error::Result;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};

macro_rules! close_stream {
    ($($handle:ident -> $status:ident;)*) => {
        $(impl $handle {
            /// The result that resets the stream: `return request.close_stream();`. Nothing happens until the callback returns it.
            ///
            /// The client gets no answer, or what it has is cut off, and the upstream's stream is reset as well. An HTTP/1 connection is
            /// closed; of an HTTP/2 connection only this stream ends. [`on_log`](crate::Context::on_log),
            /// [`on_done`](crate::Context::on_done) and [`on_delete`](crate::Context::on_delete) follow. Those have no handle with this method, because
            /// resetting a stream there crashes Envoy.
            ///
            /// To tell the client why, [`reply`](Self::reply) instead.
            ///
            /// A host that refuses leaves the stream stopped.
            ///
            /// # Errors
            /// None: a callback returns a `Result`.
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
