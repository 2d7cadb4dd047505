//! [`RootContext`]: the life of a plugin.

use crate::callout::queue::shared_queue::SharedQueue;
use crate::engine::callbacks::Callbacks;
use crate::error::Result;
use crate::host::configuration::{Configuration, VmConfiguration};
use crate::http::log_context::LogContext;

/// The context of a plugin: it reads the configuration and makes a [`Context`](crate::Context) for each HTTP stream, or a
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
    /// The context of a stream: a type that implements [`Context`](crate::Context) with [`#[context]`](macro@crate::context), or
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
    /// (`envoy.access_loggers.wasm`). A plugin that is a filter has [`Context::on_log`](crate::Context::on_log) instead; this does not run for it.
    ///
    /// An access logger has no stream contexts. It sees every request of the listener, those included that were answered before any
    /// filter ran. What can be read is what [`Context::on_log`](crate::Context::on_log) reads: the fields of `log`, [`stream_info`](crate::stream_info) and
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
    /// The id and the bytes are what host and module have agreed on. Calls for streams come to [`Context::on_foreign_function`](crate::Context::on_foreign_function) and
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
