//! The two contexts a filter is made of: [`RootContext`], which lives as long as the plugin, and [`Context`], which lives as long as
//! a stream.

use crate::error::Result;
use crate::error::policy::FailurePolicy;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::http::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::http::log_context::LogContext;

/// The context of one HTTP stream: a request and its response.
///
/// Implement the callbacks you need and put [`#[proxy_filter::context]`](macro@crate::context) on the implementation. The module then exports exactly
/// those, and a host does not enter it for the others.
///
/// Order: `on_create`, `on_request_headers`, `on_request_body` for each piece, `on_request_trailers` if there are some, the same for the
/// response, then the end: Envoy calls `on_log`, `on_done`, `on_delete`, other hosts `on_done` first. A request that the host refuses
/// before its filters run (a missing `host`, say) gets a context all the same, and only the end. A response does not need a request
/// that was seen to its end.
///
/// A callback that returns an `Err` harms this stream only, as [`failure_policy`](Self::failure_policy) says.
///
/// The example at [`RootContext`](crate::RootContext) shows both contexts.
///
/// Source: context API, "Stream Context API".
pub trait Context: Sized + 'static {
    /// The stream exists. Nothing of it can be read yet.
    ///
    /// # Errors
    /// An `Err` is logged, and the failure policy applies at the stream's next callback.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "onCreate")]
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    /// The request's headers are here. `end_of_stream`: there is no body and no trailers.
    #[doc(alias = "proxy_on_request_headers")]
    #[doc(alias = "onRequestHeaders")]
    #[doc(alias = "on_http_request_headers")]
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let _ = (request, end_of_stream);
        Ok(FilterHeadersStatus::Continue)
    }

    /// A piece of the request's body is here, or its end.
    ///
    /// `end_of_stream` is true exactly once for a request that ends, even if it has no body or ends with trailers: see [`Body`](crate::Body).
    #[doc(alias = "proxy_on_request_body")]
    #[doc(alias = "onRequestBody")]
    #[doc(alias = "on_http_request_body")]
    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let _ = (body, end_of_stream);
        Ok(FilterDataStatus::Continue)
    }

    /// The request's trailers are here; they end it.
    #[doc(alias = "proxy_on_request_trailers")]
    #[doc(alias = "onRequestTrailers")]
    #[doc(alias = "on_http_request_trailers")]
    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        let _ = trailers;
        Ok(FilterTrailersStatus::Continue)
    }

    /// The response's headers are here: the upstream's, another filter's, or those of this filter's own local reply.
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

    /// A piece of the response's body is here, or its end. As [`on_request_body`](Self::on_request_body).
    #[doc(alias = "proxy_on_response_body")]
    #[doc(alias = "onResponseBody")]
    #[doc(alias = "on_http_response_body")]
    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let _ = (body, end_of_stream);
        Ok(FilterDataStatus::Continue)
    }

    /// The response's trailers are here; they end it.
    #[doc(alias = "proxy_on_response_trailers")]
    #[doc(alias = "onResponseTrailers")]
    #[doc(alias = "on_http_response_trailers")]
    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        let _ = trailers;
        Ok(FilterTrailersStatus::Continue)
    }

    /// A METADATA frame of HTTP/2 came with the request: so many entries. What they are cannot be read; the ABI has no call for it.
    ///
    /// Envoy only, and only where the listener has `allow_metadata` in its `http2_protocol_options`. It comes wherever the client sends such
    /// frames: after the headers, between pieces of the body. The frame goes on whatever happens here.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    ///
    /// Source: Envoy 1.40, `Context::decodeMetadata`.
    #[doc(alias = "proxy_on_request_metadata")]
    #[doc(alias = "onRequestMetadata")]
    fn on_request_metadata(&mut self, entries: u32) -> Result<()> {
        let _ = entries;
        Ok(())
    }

    /// A METADATA frame of HTTP/2 came with the response. As [`on_request_metadata`](Self::on_request_metadata), with `allow_metadata` in the
    /// cluster's options.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    ///
    /// Source: Envoy 1.40, `Context::encodeMetadata`.
    #[doc(alias = "proxy_on_response_metadata")]
    #[doc(alias = "onResponseMetadata")]
    fn on_response_metadata(&mut self, entries: u32) -> Result<()> {
        let _ = entries;
        Ok(())
    }

    /// A foreign function of the host calls back for this stream. As [`RootContext::on_foreign_function`](crate::RootContext::on_foreign_function); no handle of the stream is in reach.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// The stream is over.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    /// The stream is over, and what is known about it can be read.
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let _ = log;
        Ok(())
    }

    /// The context is about to be dropped; nothing of the stream can be read any more.
    #[doc(alias = "proxy_on_delete")]
    #[doc(alias = "onDelete")]
    fn on_delete(&mut self) -> Result<()> {
        Ok(())
    }

    /// What happens to the stream when one of its callbacks returns an `Err`: it is refused, unless the filter says otherwise.
    ///
    /// It runs when a callback has failed, so that it can depend on the configuration, or on what the stream has done.
    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Closed
    }

    /// The same for the response: for its callbacks, and for completions that hold a part of it. Defaults to
    /// [`failure_policy`](Self::failure_policy).
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
