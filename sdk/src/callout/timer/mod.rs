//! Time that passes: [`Timer`], [`Interval`], and the host's tick under them.
//!
//! A host calls each root context periodically: the tick. [`Timer`] and [`Interval`] share this
//! tick. Any number of them run at once, for root contexts and streams. A filter that needs only
//! one periodic call implements [`RootContext::on_tick`](crate::RootContext::on_tick) and calls
//! [`set_tick_period`]. Both can be combined, in one filter and in several filters of one module.

pub(crate) mod deadlines;
pub(crate) mod interval;
pub(crate) mod tick;
pub(crate) mod timeout;
pub(crate) mod timers;

use crate::callout::timer::deadlines::DEADLINES;
pub use crate::callout::timer::interval::{Interval, RunningInterval, Ticks};
pub use crate::callout::timer::tick::set_tick_period;
pub(crate) use crate::callout::timer::tick::{milliseconds, set_tick};
pub use crate::callout::timer::timeout::{retry, timeout};
use crate::error::{Error, Result};
use crate::sys;
use core::time::Duration;

/// A timer that completes once, after a delay.
///
/// [`run`](Self::run) calls a closure after the delay. `pause_for` of a part of a stream pauses
/// that part for the delay. Any number of timers run at the same time, in root contexts and
/// streams. The timers of a stream are cancelled when the stream ends.
///
/// The attribute of the context must name timers: `#[proxy_filter::context(timers)]` or
/// `#[proxy_filter::root(timers)]`.
///
/// ```
/// use proxy_filter::prelude::*;
/// use std::time::Duration;
///
/// # #[derive(Default)] struct Root;
/// # #[proxy_filter::root] impl RootContext for Root { type Context = Tarpit; fn new_context(&self) -> Tarpit { Tarpit } }
/// struct Tarpit;
///
/// #[proxy_filter::context(timers)]
/// impl Context for Tarpit {
///     fn on_request_headers(&mut self, request: &mut RequestHeaders, _end_of_stream: bool) -> Result<FilterHeadersStatus> {
///         if request.get("x-suspicious")?.is_none() {
///             return Ok(FilterHeadersStatus::Continue);
///         }
///         request.pause_for(self, Timer::after(Duration::from_secs(3)), |_, _, elapsed| {
///             elapsed?;
///             Ok(FilterHeadersStatus::Continue)
///         })
///     }
/// }
/// # fn main() {}
/// ```
///
/// Delays are rounded up to milliseconds. Envoy counts a delay from the start of its event loop's
/// iteration, so a timer may complete a few milliseconds early. A delay beyond the host's range (49
/// days) is reached in several steps.
///
/// This ABI provides only the host's wall clock. Setting that clock does not move timers: the SDK
/// compares it with the host's ticks, which use a monotonic clock. Two limits remain:
///
/// * If a shorter timer starts after the clock was set and before the next tick, longer timers
///   complete late. The delay is at most the time since the SDK last read the clock.
/// * The SDK does not detect a change that a late or early tick could explain: less than 1 second
///   back, or ahead to no more than 5 seconds after the next tick.
///
/// Source: ABI 0.2.1, `proxy_set_tick_period_milliseconds` and `proxy_on_tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a timer does nothing unless it is run, awaited or paused for"]
pub struct Timer {
    delay: Duration,
}

impl Timer {
    /// Creates a timer with this delay, counted from its start. A delay of zero completes at the
    /// next tick, after about 1 ms.
    pub const fn after(delay: Duration) -> Self {
        Self { delay }
    }

    /// When it is due if it starts now.
    #[inline]
    pub(crate) fn due(self) -> Result<u64> {
        Ok(now()?.saturating_add(nanoseconds(self.delay).max(1)))
    }
}

/// The time by which timers are due, in nanoseconds: the host's wall clock, unless that was set.
#[inline]
pub(crate) fn now() -> Result<u64> {
    let wall = wall_clock()?;
    Ok(DEADLINES.with(|deadlines| deadlines.now(wall)))
}

/// The host's time, in nanoseconds. It may be set at any moment: timers count by [`now`].
#[inline]
pub(crate) fn wall_clock() -> Result<u64> {
    sys::proxy_get_current_time_nanoseconds()
        .map_err(|status| Error::host("proxy_get_current_time_nanoseconds", status))
}

#[inline]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
