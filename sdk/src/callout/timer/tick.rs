use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;
use core::time::Duration;
use std::cell::Cell;

/// What sets the period of `on_tick`.
type SetPeriod = fn(u32) -> Result<()>;

thread_local! {
    /// What does so in a module whose timers have the same tick of the host.
    static SHARED: Cell<Option<SetPeriod>> = const { Cell::new(None) };
}

/// Has the tick shared between `on_tick` and timers.
pub(crate) fn share_tick(set_period: SetPeriod) {
    SHARED.set(Some(set_period));
}

/// Has the host call [`RootContext::on_tick`](crate::RootContext::on_tick) again and again, with
/// this time between the end of one call and the next. Zero stops it.
///
/// Hosts count milliseconds: a part of one counts as one, so that no period but zero stops the
/// tick. The longest period is `u32::MAX` milliseconds, 49 days. A root context has one tick;
/// setting the period replaces the one before, and the first call comes one period from now. Set
/// while a stream is served, it is the tick of that stream's root context. Timers and intervals of
/// the same module do not change the period: the SDK shares the host's tick between them.
///
/// Works in every callback. Set it in [`on_configure`](crate::RootContext::on_configure) for a tick
/// that lasts as long as the plugin. It runs in each VM then: in Envoy once for each worker thread,
/// and once on the main thread, where there are no streams.
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::timer;
/// use std::time::Duration;
///
/// #[derive(Default)]
/// struct Root {
///     ticks: u64,
/// }
///
/// #[proxy_filter::root]
/// impl RootContext for Root {
///     type Context = Stream;
///
///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
///         timer::set_tick_period(Duration::from_secs(5))
///     }
///
///     fn on_tick(&mut self) -> Result<()> {
///         self.ticks += 1;
///         log::debug!("tick {}", self.ticks);
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
/// [`InvalidInput`](ErrorKind::InvalidInput) for a period above `u32::MAX` milliseconds; the host
/// is not asked then.
///
/// Source: ABI 0.2.1, `proxy_set_tick_period_milliseconds`; Envoy 1.40, `Wasm::setTimerPeriod`.
#[doc(alias = "proxy_set_tick_period_milliseconds")]
#[doc(alias = "setTickPeriod")]
#[doc(alias = "setTimerPeriod")]
#[inline]
pub fn set_tick_period(period: Duration) -> Result<()> {
    let period = milliseconds(period).ok_or_else(too_long)?;
    match SHARED.get() {
        Some(set_period) => set_period(period),
        None => set_tick(period),
    }
}

/// Sets the period of the tick.
#[inline]
pub(crate) fn set_tick(milliseconds: u32) -> Result<()> {
    sys::proxy_set_tick_period_milliseconds(milliseconds)
        .map_err(|status| Error::host("proxy_set_tick_period_milliseconds", status))
}

#[cold]
fn too_long() -> Error {
    Error::refused(ErrorKind::InvalidInput, "a tick period cannot be longer than 4294967295 milliseconds, 49 days")
}

/// A time as hosts count it, rounded up; none if they cannot.
#[inline]
pub(crate) fn milliseconds(period: Duration) -> Option<u32> {
    let whole = period.as_secs().checked_mul(1000)?;
    u32::try_from(whole.checked_add(u64::from(period.subsec_nanos().div_ceil(1_000_000)))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_counts_as_one() {
        for (period, expected) in [
            (Duration::ZERO, Some(0)),
            (Duration::from_nanos(1), Some(1)),
            (Duration::from_millis(1), Some(1)),
            (Duration::from_micros(1001), Some(2)),
            (Duration::new(1, 999_000_001), Some(2000)),
            (Duration::from_millis(u64::from(u32::MAX)), Some(u32::MAX)),
            (Duration::from_millis(u64::from(u32::MAX)) + Duration::from_nanos(1), None),
            (Duration::MAX, None),
        ] {
            assert_eq!(milliseconds(period), expected, "{period:?}");
        }
    }

    #[test]
    fn a_period_no_host_can_count_is_refused_before_the_host_is_asked() {
        let error = set_tick_period(Duration::from_secs(60 * 86_400)).unwrap_err();
        assert_eq!((error.kind(), error.host_function()), (ErrorKind::InvalidInput, None));
    }
}
