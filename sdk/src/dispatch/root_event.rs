//! Events of the root context that are no part of its life: the tick, items in a queue, and what an access logger logs.

use super::{CallbackSet, NewContext, Runtime, effective, failure, ready, received};
use crate::error::Result;
use crate::log_context::LogContext;
use crate::runtime::{Callback, current, executor};
use crate::shared_queue::SharedQueue;

impl<R: NewContext> Runtime<R> {
    /// `proxy_on_tick`.
    pub fn on_tick(&self, context_id: u32) {
        current::advance_epoch();
        Self::enter_root(context_id);
        if Self::TIMERS {
            self.shared_tick(context_id);
        } else if R::AWAITS.intersects(CallbackSet::ON_TICK) {
            self.notify(Callback::TICK, context_id, R::on_tick);
        } else if Self::WAKES {
            Self::stop_tick(context_id);
        }
        self.after_root_callback(context_id);
    }

    /// `proxy_on_queue_ready`.
    pub fn on_queue_ready(&self, context_id: u32, queue: u32) {
        Self::enter_root(context_id);
        self.notify(Callback::QUEUE_READY, context_id, |root| root.on_queue_ready(&SharedQueue::from_id(queue)));
        if Self::TASKS {
            received::wake(queue);
        }
        self.after_root_callback(context_id);
    }

    /// Does what a callback of the root context has left: calls of foreign functions that came meanwhile, and the futures that it has woken.
    #[inline]
    pub(super) fn after_root_callback(&self, root: u32) {
        self.make_up();
        if Self::COMPLETIONS && ready::is_any() {
            self.run_ready();
        }
        if Self::TASKS && executor::is_any_woken() {
            self.run_woken(root);
        }
    }

    /// `proxy_on_log` for an id that is not a stream's: the plugin is an access logger.
    pub(super) fn root_log(&self, context_id: u32) {
        Self::enter_root(context_id);
        self.notify(Callback::LOG, context_id, |root| root.on_log(&LogContext::new()));
        self.make_up();
        if Self::TASKS {
            Self::run_later();
        }
    }

    /// Runs a callback whose failure is logged. A root context that was refused has none.
    pub(super) fn notify(&self, callback: Callback, context_id: u32, body: impl FnOnce(&mut R) -> Result<()>) {
        let Some(root) = self.root(context_id) else { return current::ignore_event() };
        if Self::TIMERS {
            effective::back_to(context_id);
        }
        root.with_context(callback, (), |root| {
            let Some(root) = root else { return };
            if let Err(error) = body(root) {
                failure::report(callback, context_id, &error, "");
            }
        });
    }
}
