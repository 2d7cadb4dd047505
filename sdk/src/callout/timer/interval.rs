//! [`Interval`]: something to do again and again.

use crate::callout::completion::{Callout, Completion};
use crate::callout::registry::{Kind, next_number};
use crate::callout::timer::timers::set;
use crate::callout::timer::{self, Timer, now};
use crate::current;
use crate::engine::callbacks::Declares;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::any::Any;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Context;
use core::task::Poll;
use core::time::Duration;
use std::cell::Cell;

thread_local! {
    /// The interval whose closure runs; 0 after it was cancelled.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// Something to do again and again.
///
/// [`run`](Self::run) calls a closure once each period, in the context that started it. It stops
/// when that context is deleted or [`RunningInterval::cancel`] is called. If the module was busy
/// for several periods, the closure runs once, and then one period later.
///
/// The attribute of the context must name timers: `#[proxy_filter::root(timers)]` or
/// `#[proxy_filter::context(timers)]`.
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::timer::Interval;
/// use std::time::Duration;
///
/// #[derive(Default)]
/// struct Root {
///     seconds: u64,
/// }
///
/// #[proxy_filter::root(timers)]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
///         Interval::new(Duration::from_secs(1)).run(self, |root| {
///             root.seconds += 1;
///             Ok(())
///         })?;
///         Interval::new(Duration::from_secs(60)).run(self, |root| {
///             log::info!("up for {} s", root.seconds);
///             Ok(())
///         })?;
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
/// It runs in each VM in which it was started: in Envoy once for each worker thread, and once on
/// the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an interval does nothing unless it is run or awaited"]
pub struct Interval {
    period: Duration,
}

impl Interval {
    /// An interval of this period; zero is an error when it is started.
    pub const fn new(period: Duration) -> Self {
        Self { period }
    }

    /// The period in nanoseconds.
    #[inline]
    pub(crate) fn period(self) -> Result<u64> {
        match crate::callout::timer::nanoseconds(self.period) {
            0 => Err(Error::refused(ErrorKind::InvalidInput, "an interval needs a period longer than 0")),
            period => Ok(period),
        }
    }
}

/// An interval that runs; made by [`Interval::run`]. Dropping it does not end the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningInterval {
    pub(crate) number: u32,
}

type Wait = <Timer as IntoFuture>::IntoFuture;

/// The ticks of an [`Interval`], awaited one after the other. Made by [`Interval::ticks`].
///
/// With the feature `futures` it is a stream of the crate `futures`.
#[derive(Debug)]
pub struct Ticks {
    period: u64,
    /// `None` before the first tick.
    next: Option<u64>,
    /// The pending timer; `None` after it completed.
    wait: Option<Wait>,
}

impl Interval {
    /// Returns the ticks of the interval, for a root task. Each [`tick`](Ticks::tick) waits for the
    /// end of the next period.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use proxy_filter::timer::Interval;
    /// # use std::time::Duration;
    /// async fn refresh() -> Result<()> {
    ///     let mut ticks = Interval::new(Duration::from_secs(60)).ticks()?;
    ///     loop {
    ///         ticks.tick().await?;
    ///         log::info!("a minute later");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a period of 0.
    #[inline]
    pub fn ticks(self) -> Result<Ticks> {
        Ok(Ticks { period: self.period()?, next: None, wait: None })
    }
}

impl Ticks {
    /// Waits for the end of the period. Periods that ended before this call are skipped. If the
    /// future is dropped, the next call waits for the same tick.
    ///
    /// # Errors
    /// A refusal of the host.
    #[inline]
    pub async fn tick(&mut self) -> Result<()> {
        poll_fn(|context| self.poll_tick(context)).await
    }

    #[inline]
    pub(crate) fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut wait = match self.wait.take() {
            Some(wait) => wait,
            None => self.start()?,
        };
        let elapsed = Pin::new(&mut wait).poll(context);
        if elapsed.is_pending() {
            self.wait = Some(wait);
        }
        elapsed
    }

    #[inline]
    fn start(&mut self) -> Result<Wait> {
        let now = now()?;
        let due = self.next.unwrap_or(now).saturating_add(self.period);
        let due = if due > now { due } else { now.saturating_add(self.period) };
        self.next = Some(due);
        Ok(Timer::after(Duration::from_nanos(due.saturating_sub(now))).into_future())
    }
}

/// The times, each as [`tick`](Ticks::tick) returns it. It has no end.
#[cfg(feature = "futures")]
impl futures_core::Stream for Ticks {
    type Item = Result<()>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_tick(context).map(Some)
    }
}

impl Interval {
    /// Runs `each` at the end of every period, in this context (`context` is `self` of the
    /// callback).
    ///
    /// May be called in any callback of a stream or a root context. No handle of the stream is
    /// available in the closure.
    ///
    /// # Errors
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) for a period of 0, or if the
    /// host refuses the timer. An `Err` of `each` is logged, and the interval continues.
    pub fn run<C: Declares<Timer>>(
        self,
        context: &mut C,
        each: impl FnMut(&mut C) -> Result<()> + 'static,
    ) -> Result<RunningInterval> {
        let _ = context;
        let period = self.period()?;
        let number = next_number();
        let due = timer::now()?.saturating_add(period);
        set(number, due)?;
        repeat(number, current::context_id(), due, period, each);
        Ok(RunningInterval { number })
    }
}

/// Waits for the next tick, runs the closure and repeats.
fn repeat<C: 'static>(
    number: u32,
    context_id: u32,
    due: u64,
    period: u64,
    mut each: impl FnMut(&mut C) -> Result<()> + 'static,
) {
    let then = move |context: &mut dyn Any, elapsed: Result<()>| {
        elapsed?;
        let Some(context) = context.downcast_mut() else { return Ok(()) };
        let outer = RUNNING.replace(number);
        let result = each(context);
        let cancelled = RUNNING.replace(outer) != number;
        if !cancelled {
            let now = timer::now()?;
            let next = due.saturating_add(period);
            let next = if next > now { next } else { now.saturating_add(period) };
            repeat(number, context_id, next, period, each);
            set(number, next)?;
        }
        result
    };
    Timer::wait(number, context_id, Completion::Context(Box::new(then)));
}

impl RunningInterval {
    /// Ends the interval; from within its own closure too. The closure is dropped.
    #[inline]
    pub fn cancel(self) {
        let _ = Timer::registry(|timers| timers.cancel(self.number));
        if RUNNING.get() == self.number {
            RUNNING.set(0);
        }
    }
}
