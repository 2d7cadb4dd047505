use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::time::Duration;

/// Something to do again and again.
///
/// [`run`](Self::run) calls a closure each time the period is over, in the context that started it,
/// until that context is gone or [`RunningInterval::cancel`] ends it. When the module was busy for
/// several periods, the closure runs once, and the next time a period later.
///
/// The context says in its attribute that it waits: `#[proxy_filter::root(timers)]` or
/// `#[proxy_filter::context(timers)]`.
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::Interval;
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
