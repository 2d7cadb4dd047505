//! The end of a plugin that has something left to do: [`done`].

pub(crate) mod registration;
pub(crate) mod root_context;

use crate::error::{Error, Result};
use crate::sys;

/// Says that the root context whose [`on_done`](crate::RootContext::on_done) returned `false` has nothing left to do. The host drops it once
/// the running callback has returned.
///
/// Call it in a callback of that root context, such as the answer to a call that was made in `on_done`, or an item of a queue. From a callback
/// of another context, of a stream of the newer root context for example, it is an error.
///
/// Only a plugin whose VM lives on can wait: one that is reconfigured, or that shares its VM with another plugin. When the last plugin of a
/// VM goes, when the listener is removed and when the process ends, Envoy ends the VM without waiting.
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
/// [`NotFound`](crate::ErrorKind::NotFound) if the host does not wait for the context of the running callback, as after the first call.
///
/// Source: ABI 0.2.1, `proxy_done`; Envoy 1.40, `WasmBase::done`.
#[doc(alias = "proxy_done")]
#[inline]
pub fn done() -> Result<()> {
    sys::proxy_done().map_err(|status| Error::host("proxy_done", status))
}
