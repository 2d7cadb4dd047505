//! [`Context`], which lives as long as one HTTP stream.

use crate::error::Result;
use crate::error::policy::FailurePolicy;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::http::log_context::LogContext;

/// The context of one HTTP stream: a request and its response.
///
/// Implement the callbacks that the filter needs, and put
/// [`#[proxy_filter::context]`](macro@crate::context) on the implementation. The module then
/// exports these callbacks, and the host does not enter the module for the others. If the filter is
/// configured as a network filter by mistake, its connections stay paused, no byte of them is
/// forwarded, and a log line says so.
///
/// The host calls `on_create`, `on_request_headers`, `on_request_body` for each chunk, and
/// `on_request_trailers` if the client sent trailers; then the same for the response. Envoy ends
/// with `on_log`, `on_done`, `on_delete`; other hosts call `on_done` before `on_log`.
///
/// - The response can begin, and end, before the request has ended.
/// - If Envoy rejects a request before it runs the filters (a missing `host`, for example), the
///   context gets only `on_create` and the last three callbacks.
///
/// If a callback returns an `Err`, only this stream is affected:
/// [`failure_policy`](Self::failure_policy) selects what happens to it.
///
/// The example at [`RootContext`](crate::RootContext) shows both contexts.
///
/// Source: context API, "Stream Context API".
pub trait Context: Sized + 'static {
    /// Called when the stream begins. Neither headers nor properties are available yet.
    ///
    /// # Errors
    /// An `Err` is logged, and the failure policy applies at the stream's next callback.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "onCreate")]
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called with the request's headers. `end_of_stream` is true if neither body nor trailers
    /// follow.
    #[doc(alias = "proxy_on_request_headers")]
    #[doc(alias = "onRequestHeaders")]
    #[doc(alias = "on_http_request_headers")]
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let _ = (request, end_of_stream);
        Ok(FilterHeadersStatus::Continue)
    }

    /// Called for each chunk of the request's body, and for its end.
    ///
    /// `end_of_stream` is true exactly once for every complete request, also if the request has no
    /// body or ends with trailers: see [`Body`](crate::Body).
    #[doc(alias = "proxy_on_request_body")]
    #[doc(alias = "onRequestBody")]
    #[doc(alias = "on_http_request_body")]
    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let _ = (body, end_of_stream);
        Ok(FilterDataStatus::Continue)
    }

    /// Called with the request's trailers, which end the request.
    #[doc(alias = "proxy_on_request_trailers")]
    #[doc(alias = "onRequestTrailers")]
    #[doc(alias = "on_http_request_trailers")]
    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        let _ = trailers;
        Ok(FilterTrailersStatus::Continue)
    }

    /// Called with the response's headers. They come from the upstream, from another filter, or
    /// from this filter's own local reply.
    #[doc(alias = "proxy_on_response_headers")]
    #[doc(alias = "onResponseHeaders")]
    #[doc(alias = "on_http_response_headers")]
    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let _ = (response, end_of_stream);
        Ok(FilterHeadersStatus::Continue)
    }

    /// Called for each chunk of the response's body, and for its end, like
    /// [`on_request_body`](Self::on_request_body).
    #[doc(alias = "proxy_on_response_body")]
    #[doc(alias = "onResponseBody")]
    #[doc(alias = "on_http_response_body")]
    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let _ = (body, end_of_stream);
        Ok(FilterDataStatus::Continue)
    }

    /// Called with the response's trailers, which end the response.
    #[doc(alias = "proxy_on_response_trailers")]
    #[doc(alias = "onResponseTrailers")]
    #[doc(alias = "on_http_response_trailers")]
    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        let _ = trailers;
        Ok(FilterTrailersStatus::Continue)
    }

    /// Called for each METADATA frame of HTTP/2 in the request, with the number of its entries. The
    /// entries cannot be read: the ABI has no call for it.
    ///
    /// Only Envoy calls this, and only if the listener sets `allow_metadata` in its
    /// `http2_protocol_options`. Frames can arrive at any time after the headers, also between
    /// chunks of the body. Envoy always forwards the frame, whatever this callback does.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    ///
    /// Source: Envoy 1.40, `Context::decodeMetadata`.
    #[doc(alias = "proxy_on_request_metadata")]
    #[doc(alias = "onRequestMetadata")]
    fn on_request_metadata(&mut self, entries: u32) -> Result<()> {
        let _ = entries;
        Ok(())
    }

    /// Called for each METADATA frame of HTTP/2 in the response, like
    /// [`on_request_metadata`](Self::on_request_metadata). The option `allow_metadata` is then the
    /// one of the cluster.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    ///
    /// Source: Envoy 1.40, `Context::encodeMetadata`.
    #[doc(alias = "proxy_on_response_metadata")]
    #[doc(alias = "onResponseMetadata")]
    fn on_response_metadata(&mut self, entries: u32) -> Result<()> {
        let _ = entries;
        Ok(())
    }

    /// Called by a foreign function of the host for this stream, like
    /// [`RootContext::on_foreign_function`](crate::RootContext::on_foreign_function). No handle of
    /// the stream is available here.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// Called when the stream has ended.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when the stream has ended, to log it: headers, response trailers and properties can
    /// be read.
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let _ = log;
        Ok(())
    }

    /// Called before the context is dropped. Nothing of the stream can be read any more.
    #[doc(alias = "proxy_on_delete")]
    #[doc(alias = "onDelete")]
    fn on_delete(&mut self) -> Result<()> {
        Ok(())
    }

    /// Selects what happens to the stream when one of its callbacks returns an `Err`. Defaults to
    /// [`FailurePolicy::Closed`]: the stream is refused.
    ///
    /// The SDK calls it after the failure, so the policy can depend on the configuration or on the
    /// state of the stream.
    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Closed
    }

    /// Selects the same for the response: for its callbacks, and for completions of callouts that
    /// pause it. Defaults to [`failure_policy`](Self::failure_policy).
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// struct Guard;
    ///
    /// impl Context for Guard {
    ///     // Requests that cannot be checked are refused, which is what `failure_policy` says by itself. Responses are only measured.
    ///     fn response_failure_policy(&self) -> FailurePolicy {
    ///         FailurePolicy::Open
    ///     }
    /// }
    /// ```
    fn response_failure_policy(&self) -> FailurePolicy {
        self.failure_policy()
    }
}
