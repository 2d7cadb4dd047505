//! Events of the root context that are no part of its life: the tick, and items in a queue.

use super::{NewContext, Runtime, failure};
use crate::error::Result;
use crate::runtime::{Callback, current};
use crate::shared_queue::SharedQueue;

impl<R: NewContext> Runtime<R> {
    /// `proxy_on_tick`.
    pub fn on_tick(&self, context_id: u32) {
        current::advance_epoch();
        if Self::TIMERS {
            self.fire(context_id);
        }
        self.notify(Callback::TICK, context_id, R::on_tick);
    }

    /// `proxy_on_queue_ready`.
    pub fn on_queue_ready(&self, context_id: u32, queue: u32) {
        self.notify(Callback::QUEUE_READY, context_id, |root| root.on_queue_ready(&SharedQueue::from_id(queue)));
    }

    /// Runs a callback whose failure is logged. A root context that was refused has none.
    fn notify(&self, callback: Callback, context_id: u32, body: impl FnOnce(&mut R) -> Result<()>) {
        let Some(root) = self.root(context_id) else { return current::ignore_event() };
        root.with_context(callback, (), |root| {
            let Some(root) = root else { return };
            if let Err(error) = body(root) {
                failure::report(callback, context_id, &error, "");
            }
        });
    }
}
