//! Timers: the host's tick of each root context, shared out.

use crate::callout::completion::{Callout, Completion};
use crate::callout::future::{AwaitableCallout, CalloutFuture};
use crate::callout::registry::{Kind, Registry, next_number};
use crate::callout::start;
use crate::callout::timer::deadlines::{DEADLINES, Deadlines};
use crate::callout::timer::{self, Timer};
use crate::current;
use crate::engine::callbacks::Declares;
use crate::engine::effective;
use crate::engine::point::{Points, not_exported};
use crate::error::{Error, Result};

thread_local! {
    static TIMERS: Registry<Timer> = const { Registry::new() };
}

/// The number of a timer without a completion. Its tick polls the tasks that were woken.
const SOON: u32 = 0;

impl Kind for Timer {
    type Completion = Completion<Self>;
    type Arrived = ();
    type Output = Result<()>;
    type Ready = (Completion<Self>, Result<()>);

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        TIMERS.try_with(body).ok()
    }

    #[inline]
    fn copy((): ()) -> Result<()> {
        Ok(())
    }
}

impl Callout for Timer {
    type Response<'a> = Result<()>;
    type Started = u32;

    #[inline]
    fn start(self) -> core::result::Result<u32, Self::Response<'static>> {
        let number = next_number();
        match self.due().and_then(|due| set(number, due)) {
            Ok(()) => Ok(number),
            Err(error) => Err(Err(error)),
        }
    }

    #[inline]
    fn wait(number: u32, context_id: u32, completion: Completion<Self>) {
        TIMERS.with(|timers| timers.insert(number, context_id, completion));
    }

    #[inline]
    fn is_ready(completion: Completion<Self>, response: Result<()>) {
        TIMERS.with(|timers| timers.add_ready((completion, response)));
    }
}

impl AwaitableCallout for Timer {
    type Output = Result<()>;
    type Kind = Self;

    const DECLARED: (Points, &'static str) = (Points::TIMERS, not_exported!("timers"));

    #[inline]
    fn output(output: Result<()>) -> Result<()> {
        output
    }

    #[inline]
    fn not_started(response: Result<()>) -> Result<()> {
        response
    }

    #[inline]
    fn refuse(error: Error) -> Result<()> {
        Err(error)
    }
}

impl IntoFuture for Timer {
    type Output = Result<()>;
    type IntoFuture = CalloutFuture<Self>;

    #[inline]
    fn into_future(self) -> CalloutFuture<Self> {
        CalloutFuture::new(self)
    }
}

#[inline]
fn is_alive(number: u32) -> bool {
    number == SOON || TIMERS.with(|timers| timers.contains(number))
}

/// Sets a timer on the tick of the running context's root.
#[inline]
pub(crate) fn set(number: u32, due: u64) -> Result<()> {
    let root = current::root_id();
    DEADLINES.with(|deadlines| {
        deadlines.add(root, due, number, is_alive);
        // The new timer is not in the registry yet, and must be counted.
        arm(deadlines, root, |other| other == number || is_alive(other))
    })
}

/// Sets the period of `on_tick` of the running context's root.
pub(crate) fn set_period(milliseconds: u32) -> Result<()> {
    let root = current::root_id();
    let now = timer::now()?;
    DEADLINES.with(|deadlines| {
        deadlines.set_period(root, now, milliseconds);
        arm(deadlines, root, is_alive)
    })
}

fn arm(deadlines: &Deadlines, root: u32, is_alive: impl Fn(u32) -> bool) -> Result<()> {
    match deadlines.arm(root, deadlines.now(timer::wall_clock()?), is_alive) {
        Some(period) => timer::set_tick(period),
        None => Ok(()),
    }
}

/// Sets the tick of the running context's root to the next possible time.
#[inline]
pub(crate) fn soon() -> Result<()> {
    set(SOON, timer::now()?.saturating_add(1))
}

/// Removes a deleted root context and its tick. Timers that futures of other contexts wait for move
/// to the tick of `heir`.
#[cold]
pub(crate) fn forget_root(root: u32, heir: Option<u32>) {
    DEADLINES.with(|deadlines| {
        if deadlines.forget(root, heir, is_alive) {
            let heir = heir.unwrap_or_default();
            effective::back_to(heir);
            // As in `tick`.
            let _ = arm(deadlines, heir, is_alive);
        }
    });
}

/// Handles the shared tick of a root context. Runs `complete` for each timer that is due, then
/// `tick` if `on_tick` is due.
pub(crate) fn run_due(root: u32, mut complete: impl FnMut(u32), tick: Option<impl FnOnce()>) {
    // Without a clock no timer can run. Starting a timer has already failed with the host's error.
    let Ok(wall) = timer::wall_clock() else { return };
    DEADLINES.with(|deadlines| {
        let now = deadlines.tick(root, wall);
        // Collect first: timers that start while these run complete at the next tick.
        let due: Vec<u32> = std::iter::from_fn(|| deadlines.pop(root, now)).collect();
        for number in due {
            complete(number);
        }
        if let Some(tick) = tick.filter(|_| deadlines.is_tick_due(root, now)) {
            tick();
            deadlines.end_tick(root, now, timer::now().unwrap_or(now));
        }
        effective::back_to(root);
        let _ = arm(deadlines, root, is_alive);
    });
}

impl Timer {
    /// Runs `then` after the delay, in this context (`context` is `self` of the callback). If the
    /// context is deleted first, the timer is cancelled and `then` does not run.
    ///
    /// May be called in any callback of a stream or a root context. No handle of the stream is
    /// available in the closure. To get a handle, use `pause_for` of a part of the stream.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use std::time::Duration;
    /// # #[derive(Default)] struct Root { ready: bool }
    /// # #[proxy_filter::root(timers)] impl RootContext for Root { type Context = Stream; fn new_context(&self) -> Stream { Stream }
    /// fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///     Timer::after(Duration::from_millis(500)).run(self, |root| {
    ///         root.ready = true;
    ///         Ok(())
    ///     })
    /// }
    /// # }
    /// # struct Stream;
    /// # #[proxy_filter::context] impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// Fails if the host refuses the timer; `then` does not run then. An `Err` of `then` is only
    /// logged.
    pub fn run<C: Declares<Self>>(
        self,
        context: &mut C,
        then: impl FnOnce(&mut C) -> Result<()> + 'static,
    ) -> Result<()> {
        start::send(context, self, move |context, elapsed| {
            elapsed?;
            then(context)
        })
    }
}
