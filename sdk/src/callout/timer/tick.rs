use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::sys;
use core::time::Duration;
use std::cell::Cell;

/// What sets the period of `on_tick`.
type SetPeriod = fn(u32) -> Result<()>;

thread_local! {
    /// Sets the period instead in a module whose timers share the host's tick.
    static SHARED: Cell<Option<SetPeriod>> = const { Cell::new(None) };
}

/// Has the tick shared between `on_tick` and timers.
pub(crate) fn share_tick(set_period: SetPeriod) {
    SHARED.set(Some(set_period));
}

/// Has the host call [`RootContext::on_tick`](crate::RootContext::on_tick) again and again, with
/// this time between the end of one call and the next. Zero stops it.
///
/// The period is rounded up to milliseconds, so that only zero stops the tick. The longest period
/// is `u32::MAX` milliseconds, 49 days. A root context has one tick. Setting the period replaces
/// the previous one, and the next call is one period from now. In a callback of a stream, this sets
/// the tick of the stream's root context. Timers and intervals of the same module do not change the
/// period: the SDK shares the host's tick between them.
///
/// May be called in every callback. Call it in [`on_configure`](crate::RootContext::on_configure)
/// for a tick that lasts as long as the plugin. The tick then runs in each VM. Envoy has one VM for
/// each worker thread and one on the main thread, which serves no streams.
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
/// Fails with [`InvalidInput`](ErrorKind::InvalidInput) for a period above `u32::MAX` milliseconds,
/// without calling the host.
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

/// Returns the period in milliseconds, rounded up, or `None` if it is out of range.
#[inline]
pub(crate) fn milliseconds(period: Duration) -> Option<u32> {
    let whole = period.as_secs().checked_mul(1000)?;
    u32::try_from(whole.checked_add(u64::from(period.subsec_nanos().div_ceil(1_000_000)))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_rounded_up_to_1_ms() {
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
    fn a_period_out_of_range_is_refused_without_a_host_call() {
        let error = set_tick_period(Duration::from_secs(60 * 86_400)).unwrap_err();
        assert_eq!((error.kind(), error.host_function()), (ErrorKind::InvalidInput, None));
    }
}
