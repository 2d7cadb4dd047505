//! A tick for futures that were woken outside of callbacks of root contexts.

use crate::callout::timer::{tick, timers};
use crate::current::{self, Callback};
use crate::dispatch::failure;
use crate::dispatch::uses::Uses;
use crate::engine::executor;
use crate::plugin::registration::NewContext;
use std::cell::Cell;

/// The log text if the host refuses the tick.
const NO_TICK: &str = "; woken futures run at the next completion";

thread_local! {
    /// The root context whose tick was set for woken futures.
    static SOON: Cell<u32> = const { Cell::new(0) };
}

/// Runs the futures that were woken soon, on a tick of the running context's root.
#[inline]
pub(crate) fn run_later<R: NewContext>() {
    if executor::is_any_woken() {
        tick_soon::<R>();
    }
}

#[cold]
#[inline(never)]
fn tick_soon<R: NewContext>() {
    let set = if Uses::<R>::TIMERS {
        timers::soon()
    } else if Uses::<R>::WAKES {
        SOON.set(current::root_id());
        tick::set_tick(1)
    } else {
        // A function that can be woken by another stream awaits a future that the macro does not
        // know, so its module exports the tick. Others are polled at the events of their streams.
        return;
    };
    if let Err(error) = set {
        failure::report(Callback::TASK, current::context_id(), &error, NO_TICK);
    }
}

/// Stops a tick that was set only for woken futures.
#[inline]
pub(crate) fn stop_tick(root: u32) {
    if SOON.get() == root {
        SOON.set(0);
        // If this fails, one more tick polls no future.
        let _ = tick::set_tick(0);
    }
}
