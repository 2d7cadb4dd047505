//! Ending a stream without an answer: `close_stream` of the handles of messages.

use crate::abi::StreamType;
use crate::body::{RequestBody, ResponseBody};
use crate::error::{Error, Result};
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::sys;

fn close(stream_type: StreamType) -> Result<()> {
    sys::proxy_close_stream(stream_type.raw()).map_err(|status| Error::host("proxy_close_stream", status))
}

macro_rules! close_stream {
    ($($handle:ident: $stream_type:ident -> $status:ident;)*) => {
        $(impl $handle {
            /// Resets the stream once the callback has returned: the client gets no answer, or what it has is cut off, and the upstream's
            /// stream is reset as well. An HTTP/1 connection is closed; of an HTTP/2 connection only this stream ends.
            ///
            /// Return the result from the callback: there is nothing more to do. [`on_log`](crate::Context::on_log),
            /// [`on_done`](crate::Context::on_done) and [`on_delete`](crate::Context::on_delete) follow. Those have no handle with this method, because
            /// resetting a stream there crashes Envoy.
            ///
            /// To tell the client why, [`reply`](Self::reply) instead.
            ///
            /// # Errors
            /// A refusal of the host; the stream goes on as the [failure policy](crate::Context::failure_policy) says.
            ///
            /// Source: ABI 0.2.1, `proxy_close_stream`; Envoy 1.40, `Context::closeStream`.
            #[doc(alias = "proxy_close_stream")]
            #[doc(alias = "closeRequest")]
            #[doc(alias = "closeResponse")]
            #[doc(alias = "reset_http_request")]
            #[doc(alias = "reset_http_response")]
            pub fn close_stream(&mut self) -> Result<$status> {
                close(StreamType::$stream_type).map(|()| $status::StreamClosed)
            }
        })*
    };
}

close_stream! {
    RequestHeaders: HTTP_REQUEST -> FilterHeadersStatus;
    RequestBody: HTTP_REQUEST -> FilterDataStatus;
    RequestTrailers: HTTP_REQUEST -> FilterTrailersStatus;
    ResponseHeaders: HTTP_RESPONSE -> FilterHeadersStatus;
    ResponseBody: HTTP_RESPONSE -> FilterDataStatus;
    ResponseTrailers: HTTP_RESPONSE -> FilterTrailersStatus;
}
