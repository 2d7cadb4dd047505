//! The two contexts a filter is made of: [`RootContext`], which lives as long as the plugin, and [`Context`], which lives as long as
//! a stream.

use crate::body::{RequestBody, ResponseBody};
use crate::config::{Configuration, VmConfiguration};
use crate::dispatch::Callbacks;
use crate::error::Result;
use crate::filter_status::{FailurePolicy, FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::headers::{RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::log_context::LogContext;
use crate::shared_queue::SharedQueue;

/// The context of a plugin: it reads the configuration and makes a [`Context`] for each HTTP stream, or a
/// [`StreamContext`](crate::StreamContext) for each TCP connection.
///
/// Put [`#[proxy_filter::root]`](macro@crate::root) on the implementation: it registers the filter. The type must be [`Default`]: the host says
/// that a plugin exists before it says how it is configured.
///
/// Hosts run a plugin several times. Envoy makes one VM for each worker thread, one for the main thread and one that is thrown away
/// after a trial start (the canary); each has its own root context and runs `on_start` and `on_configure`. When the plugin's
/// configuration changes, the new root context is started and configured before the old one is done, and streams stay with the
/// root context that made them.
///
/// A root context that has no callback, and whose [`new_context`](Self::new_context) only names a unit struct, belongs to a filter
/// without state: no root context is made then, and the host does not enter the module when streams begin and end.
/// [`#[proxy_filter::root]`](macro@crate::root) says when exactly.
///
/// ```
/// use proxy_filter::prelude::*;
/// use std::rc::Rc;
///
/// #[derive(Default)]
/// struct Root {
///     greeting: Rc<str>,
/// }
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
///         self.greeting = String::from_utf8(configuration.bytes()?)?.into();
///         Ok(())
///     }
///
///     fn new_context(&self) -> Stream {
///         Stream { greeting: Rc::clone(&self.greeting) }
///     }
/// }
///
/// struct Stream {
///     greeting: Rc<str>,
/// }
///
/// #[proxy_filter::context]
/// impl Context for Stream {
///     fn on_response_headers(&mut self, response: &mut ResponseHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
///         response.add("x-greeting", &*self.greeting)?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// Source: context API, "Root Context API".
pub trait RootContext: Sized + 'static {
    /// The context of a stream: a type that implements [`Context`] with [`#[context]`](macro@crate::context), or
    /// [`StreamContext`](crate::StreamContext) with [`#[stream_context]`](macro@crate::stream_context).
    type Context: Callbacks;

    /// The module has been loaded into a VM; the VM's configuration is readable. Runs once for each root context.
    ///
    /// # Errors
    /// An `Err` is logged and refuses the plugin: Envoy rejects the listener or cluster that wants it.
    #[doc(alias = "proxy_on_vm_start")]
    #[doc(alias = "onStart")]
    fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
        let _ = configuration;
        Ok(())
    }

    /// The plugin's configuration is readable.
    ///
    /// # Errors
    /// An `Err` is logged and refuses the configuration: Envoy keeps the one it had.
    #[doc(alias = "proxy_on_configure")]
    #[doc(alias = "onConfigure")]
    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let _ = configuration;
        Ok(())
    }

    /// The period set with [`timer::set_tick_period`](crate::timer::set_tick_period) is over; the next one begins when this returns.
    ///
    /// It runs in each VM in which the period was set. There is no stream here: properties and messages of streams cannot be reached.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens: the tick goes on.
    #[doc(alias = "proxy_on_tick")]
    #[doc(alias = "onTick")]
    fn on_tick(&mut self) -> Result<()> {
        Ok(())
    }

    /// Somebody has put an item into a queue that this root context [registered](SharedQueue::register).
    ///
    /// It runs once for each item, after the callback that put it in, and in the VM that registered last. The item may be gone already: a queue
    /// is one for all who know it.
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens: what was not taken out stays in the queue.
    #[doc(alias = "proxy_on_queue_ready")]
    #[doc(alias = "onQueueReady")]
    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        let _ = queue;
        Ok(())
    }

    /// A request of the listener is over, and what is known about it can be read: the plugin is an access logger
    /// (`envoy.access_loggers.wasm`). A plugin that is a filter has [`Context::on_log`] instead; this does not run for it.
    ///
    /// An access logger has no stream contexts. It sees every request of the listener, those included that were answered before any
    /// filter ran. What can be read is what [`Context::on_log`] reads: the fields of `log`, [`stream_info`](crate::stream_info) and
    /// [`property`](crate::property), [`metadata`](crate::metadata).
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// #[derive(Default)]
    /// struct Root;
    ///
    /// #[proxy_filter::root]
    /// impl RootContext for Root {
    ///     type Context = NoStream;
    ///
    ///     fn on_log(&mut self, log: &LogContext) -> Result<()> {
    ///         let path = log.request_headers().get(":path")?.unwrap_or_default();
    ///         log::info!("{path}");
    ///         Ok(())
    ///     }
    ///
    ///     fn new_context(&self) -> NoStream {
    ///         NoStream
    ///     }
    /// }
    ///
    /// struct NoStream;
    ///
    /// #[proxy_filter::context]
    /// impl Context for NoStream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    ///
    /// Source: Envoy 1.40, `WasmAccessLog`.
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let _ = log;
        Ok(())
    }

    /// A foreign function of the host calls back: during the call of [`foreign::call`](crate::foreign::call), or at any time later.
    ///
    /// The id and the bytes are what host and module have agreed on. Calls for streams come to [`Context::on_foreign_function`] and
    /// [`StreamContext::on_foreign_function`](crate::StreamContext::on_foreign_function). A call that comes while a callback of the same context
    /// runs, one that is made by this very context for example, is told when that callback is over.
    ///
    /// No function of Envoy's calls back. `resolve_lua` of nginx (`ngx_wasm_module`) does, with the id 0; in tests, what
    /// `Host::foreign_function` of the embedded host adds.
    ///
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    /// use proxy_filter::foreign;
    ///
    /// #[derive(Default)]
    /// struct Root {
    ///     addresses: Vec<u8>,
    /// }
    ///
    /// #[proxy_filter::root]
    /// impl RootContext for Root {
    ///     type Context = Stream;
    ///
    ///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///         foreign::call("resolve", b"example.com").map(drop)
    ///     }
    ///
    ///     fn on_foreign_function(&mut self, _function_id: u32, arguments: Vec<u8>) -> Result<()> {
    ///         self.addresses = arguments;
    ///         Ok(())
    ///     }
    ///
    ///     fn new_context(&self) -> Stream {
    ///         Stream
    ///     }
    /// }
    ///
    /// struct Stream;
    ///
    /// #[proxy_filter::context]
    /// impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// An `Err` is logged, and nothing else happens.
    ///
    /// Source: ABI 0.2.1, `proxy_on_foreign_function`; `proxy-wasm-cpp-host`, `ContextBase::onForeignFunction`.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// The plugin is going away. `true`: there is nothing left to do, and the context is dropped.
    ///
    /// `false`: there is, and [`plugin::done`](crate::plugin::done) says when it is done. Until then the context stays: it gets answers to
    /// calls, items of queues, and its ticks. A host waits only if the VM lives on, as it does when the plugin is
    /// reconfigured; otherwise nothing of the context runs after this.
    ///
    /// Envoy calls it when the last stream of the root context is over: after a new configuration, that is when old connections
    /// are drained. Not every end of a VM is announced: the canary and a process that exits are not.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    fn on_done(&mut self) -> bool {
        true
    }

    /// Makes the context of a new stream.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "create_http_context")]
    fn new_context(&self) -> Self::Context;
}

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
/// The example at [`RootContext`] shows both contexts.
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

    /// A foreign function of the host calls back for this stream. As [`RootContext::on_foreign_function`]; no handle of the stream is in reach.
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
