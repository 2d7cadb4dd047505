//! The life of a plugin: [`RootContext`](crate::RootContext), and [`done`], which ends its work.

pub(crate) mod one_type;
pub(crate) mod registration;
pub(crate) mod root_context;

pub use crate::current::ignored_callbacks;
use crate::error::{Error, Result};
use crate::sys;

/// Tells the host that the root context has finished the work for which its
/// [`on_done`](crate::RootContext::on_done) returned `false`. The host drops the context when the
/// running callback has returned.
///
/// Call it in a callback of that root context: in the completion of a callout that was sent in
/// `on_done`, for example, or for an item of a queue. In a callback of another context (a stream of
/// the new root context, for example) it fails.
///
/// Envoy waits only if the VM stays alive: when the plugin is reconfigured, or shares its VM with
/// another plugin. When the last plugin of a VM is removed, when the listener is removed, and when
/// the process exits, Envoy ends the VM without waiting.
///
/// ```
/// use proxy_filter::plugin;
/// use proxy_filter::prelude::*;
///
/// #[derive(Default)]
/// struct Root {
///     unsent: u32,
/// }
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_done(&mut self) -> bool {
///         // What is counted is still to be written, once the queue says that somebody reads it.
///         self.unsent == 0
///     }
///
///     fn on_queue_ready(&mut self, queue: &SharedQueue) -> Result<()> {
///         while queue.dequeue()?.is_some() {
///             self.unsent = self.unsent.saturating_sub(1);
///         }
///         if self.unsent == 0 {
///             // `NotFound` unless `on_done` has returned `false` before.
///             let _ = plugin::done();
///         }
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
/// Fails with [`NotFound`](crate::ErrorKind::NotFound) if the host does not wait for the context of
/// the running callback, for example after a first call.
///
/// Source: ABI 0.2.1, `proxy_done`; Envoy 1.40, `WasmBase::done`.
#[doc(alias = "proxy_done")]
#[inline]
pub fn done() -> Result<()> {
    sys::proxy_done().map_err(|status| Error::host("proxy_done", status))
}
