//! A tick for futures that were woken outside of callbacks of root contexts.

use crate::abi::log_level::LogLevel;
use crate::callout::timer::{tick, timers};
use crate::current::{self, Callback};
use crate::dispatch::failure;
use crate::dispatch::uses::Uses;
use crate::engine::executor;
use crate::log;
use crate::plugin::registration::NewContext;
use std::cell::Cell;

/// The log text if the host refuses the tick.
const NO_TICK: &str = "; woken futures run at the next completion";
/// The log text if the module does not export the tick.
const NOT_EXPORTED: &str =
    "a future was woken and cannot run yet: the module has no tick; write `#[proxy_filter::filter(timers)]`";

thread_local! {
    /// It was logged.
    static WARNED: Cell<bool> = const { Cell::new(false) };
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
        // Once is enough: it is the same for every stream.
        if !WARNED.replace(true) {
            log::write(LogLevel::Error, NOT_EXPORTED.as_bytes());
        }
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
