//! [`RootContext`]: the life of a plugin.

use crate::callout::queue::shared_queue::SharedQueue;
use crate::engine::callbacks::Callbacks;
use crate::error::Result;
use crate::host::configuration::{Configuration, VmConfiguration};
use crate::http::log_context::LogContext;

/// The context of a plugin: it reads the configuration and makes a [`Context`](crate::Context) for
/// each HTTP stream, or a [`StreamContext`](crate::tcp::StreamContext) for each TCP connection.
///
/// Put [`#[proxy_filter::root]`](macro@crate::root) on the implementation: it registers the filter.
/// The type must implement [`Default`], because the host creates a plugin before it passes the
/// configuration.
///
/// Hosts run a plugin several times. Envoy creates one VM for each worker thread, one for the main
/// thread, and before that a canary VM, which it destroys after the start. Each VM has its own root
/// context, which runs `on_start` and `on_configure`. When the plugin's configuration changes, the
/// new root context is started and configured before the old one ends. Existing streams keep the
/// root context that created them.
///
/// If a root context has no callback, and its [`new_context`](Self::new_context) only names a unit
/// struct, the filter has no state. The SDK then creates no root context, and the host does not
/// enter the module when streams begin and end. [`#[proxy_filter::root]`](macro@crate::root) lists
/// the exact conditions.
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
///     fn on_response_headers(
///         &mut self,
///         response: &mut ResponseHeaders,
///         _end_of_stream: bool,
///     ) -> Result<FilterHeadersStatus> {
///         response.add("x-greeting", &*self.greeting)?;
///         Ok(FilterHeadersStatus::Continue)
///     }
/// }
/// # fn main() {}
/// ```
///
/// Source: context API, "Root Context API".
pub trait RootContext: Sized + 'static {
    /// The context of a stream: a type that implements [`Context`](crate::Context) with
    /// [`#[context]`](macro@crate::context), or [`StreamContext`](crate::tcp::StreamContext) with
    /// [`#[stream_context]`](macro@crate::stream_context).
    type Context: Callbacks;

    /// Called when the module has been loaded into a VM. The VM's configuration can be read. It
    /// runs once for each root context.
    ///
    /// # Errors
    /// An `Err` is logged and refuses the plugin: Envoy rejects the listener or cluster that uses
    /// it.
    #[doc(alias = "proxy_on_vm_start")]
    #[doc(alias = "onStart")]
    fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
        let _ = configuration;
        Ok(())
    }

    /// Called with the plugin's configuration.
    ///
    /// # Errors
    /// An `Err` is logged and refuses the configuration: Envoy keeps the previous one.
    #[doc(alias = "proxy_on_configure")]
    #[doc(alias = "onConfigure")]
    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let _ = configuration;
        Ok(())
    }

    /// Called when the period that was set with
    /// [`timer::set_tick_period`](crate::timer::set_tick_period) has elapsed. The next period
    /// begins when this callback returns.
    ///
    /// It runs in each VM in which the period was set. No stream is current: properties and
    /// messages of streams are not available.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect: later ticks are unaffected.
    #[doc(alias = "proxy_on_tick")]
    #[doc(alias = "onTick")]
    fn on_tick(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when an item was enqueued into a queue that this root context
    /// [registered](SharedQueue::register).
    ///
    /// It runs once for each item, after the callback that enqueued it, in the VM that registered
    /// the queue last. The queue may then be empty: every VM that uses it can dequeue its items.
    ///
    /// # Errors
    /// An `Err` is logged and has no other effect: the remaining items stay in the queue.
    #[doc(alias = "proxy_on_queue_ready")]
    #[doc(alias = "onQueueReady")]
    fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
        let _ = queue;
        Ok(())
    }

    /// Called when a request of the listener has ended, to log it. It runs only if the plugin is
    /// configured as an access logger (`envoy.access_loggers.wasm`). A plugin that is configured as
    /// a filter has [`Context::on_log`](crate::Context::on_log) instead.
    ///
    /// An access logger has no stream contexts. It sees every request of the listener, also those
    /// that were rejected before any filter ran. It can read what
    /// [`Context::on_log`](crate::Context::on_log) reads: the fields of `log`,
    /// [`stream_info`](crate::stream_info), [`property`](crate::property) and
    /// [`metadata`](crate::metadata).
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
    /// An `Err` is logged and has no other effect.
    ///
    /// Source: Envoy 1.40, `WasmAccessLog`.
    #[doc(alias = "proxy_on_log")]
    #[doc(alias = "onLog")]
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let _ = log;
        Ok(())
    }

    /// Called by a foreign function of the host, during [`foreign::call`](crate::foreign::call) or
    /// at any later time.
    ///
    /// The host and the module agree on the meaning of the id and the bytes. Calls for streams
    /// arrive at [`Context::on_foreign_function`](crate::Context::on_foreign_function) and
    /// [`StreamContext::on_foreign_function`](crate::tcp::StreamContext::on_foreign_function). If
    /// the call is reentrant, for a context whose callback runs, the SDK delivers it when that
    /// callback has returned.
    ///
    /// No foreign function of Envoy calls back. `resolve_lua` of nginx (`ngx_wasm_module`) does,
    /// with the id 0. In tests, functions added with `Host::foreign_function` of the embedded host
    /// can.
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
    /// An `Err` is logged and has no other effect.
    ///
    /// Source: ABI 0.2.1, `proxy_on_foreign_function`; `proxy-wasm-cpp-host`,
    /// `ContextBase::onForeignFunction`.
    #[doc(alias = "proxy_on_foreign_function")]
    #[doc(alias = "onForeignFunction")]
    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        let _ = (function_id, arguments);
        Ok(())
    }

    /// Called when the plugin ends. Return `true` if no work remains: the context is then dropped.
    ///
    /// Return `false` to keep the context until [`plugin::done`](crate::plugin::done) is called.
    /// Until then it receives the results of callouts, items of queues, and ticks. A host waits
    /// only if the VM stays alive, for example when the plugin is reconfigured. Otherwise no
    /// callback of this context runs afterwards.
    ///
    /// Envoy calls it when the last stream of the root context has ended. After a change of the
    /// configuration, this is when the old connections are drained. Envoy does not call it for the
    /// canary VM, nor when the process exits.
    #[doc(alias = "proxy_on_done")]
    #[doc(alias = "onDone")]
    fn on_done(&mut self) -> bool {
        true
    }

    /// Creates the context of a new stream.
    #[doc(alias = "proxy_on_context_create")]
    #[doc(alias = "create_http_context")]
    fn new_context(&self) -> Self::Context;
}
