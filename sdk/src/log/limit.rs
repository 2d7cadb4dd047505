//! [`RateLimit`]: log lines that a client can cause, without a flood.

use crate::abi::log_level::LogLevel;
use crate::current;
use crate::log::line::Line;
use crate::log::write;
use crate::sys;
use core::fmt;
use core::time::Duration;
use std::cell::Cell;

/// A limit on how often one place in the source writes a log line.
///
/// A client that sends bad requests must not cause one log line for each of them: logs cost money,
/// and a flood hides other lines. [`warn_limited!`](crate::log::warn_limited) and
/// [`error_limited!`](crate::log::error_limited) each have such a limit; this type is for other
/// levels and other rates. The first lines are written at once, up to `burst`; after that, one line
/// for each `interval`. A written line contains the number of suppressed ones:
/// `… (24 more suppressed)`.
///
/// The clock of the host is read only for lines that the host's level permits. Each VM counts
/// separately.
///
/// ```
/// use proxy_filter::log::{self, RateLimit};
/// use std::time::Duration;
///
/// thread_local! {
///     // At most 60 lines an hour, after the first 5.
///     static BAD_TOKENS: RateLimit = const { RateLimit::new(5, Duration::from_secs(60)) };
/// }
///
/// fn report(why: &str) {
///     BAD_TOKENS.with(|limit| limit.log(log::Level::Warn, format_args!("bad token: {why}")));
/// }
/// ```
#[derive(Debug)]
pub struct RateLimit {
    burst: u64,
    /// In nanoseconds, like the times.
    interval: u64,
    /// When the whole burst is available again.
    full: Cell<u64>,
    suppressed: Cell<u32>,
}

impl RateLimit {
    /// Creates a limit of `burst` lines at once, and one line for each `interval` after that. A
    /// burst of 0 counts as 1.
    #[allow(clippy::cast_possible_truncation, reason = "an interval of 584 years is as good as a longer one")]
    pub const fn new(burst: u32, interval: Duration) -> Self {
        let nanoseconds = interval.as_nanos();
        let interval = if nanoseconds > u64::MAX as u128 { u64::MAX } else { nanoseconds as u64 };
        Self { burst: burst as u64, interval, full: Cell::new(0), suppressed: Cell::new(0) }
    }

    /// Returns how many lines were suppressed since the last one, if a line may be written now.
    /// `None` suppresses this one too.
    ///
    /// [`log`](Self::log) calls it. A filter can call it for other actions that must be as rare,
    /// such as a report to a service.
    pub fn admit(&self) -> Option<u32> {
        // Without a clock there is no limit.
        let Ok(now) = sys::proxy_get_current_time_nanoseconds() else { return Some(0) };
        let whole = self.interval.saturating_mul(self.burst.max(1));
        let mut full = self.full.get().max(now);
        if full - now > whole {
            // The clock was set back.
            full = now;
        }
        let next = full.saturating_add(self.interval);
        if next - now > whole {
            self.suppressed.set(self.suppressed.get().saturating_add(1));
            return None;
        }
        self.full.set(next);
        Some(self.suppressed.take())
    }

    /// Writes a line through the [`log`](mod@crate::log) facade, unless the host's level or this
    /// limit suppresses it.
    pub fn log(&self, level: ::log::Level, message: fmt::Arguments<'_>) {
        if !::log::log_enabled!(level) {
            return;
        }
        match self.admit() {
            Some(0) => ::log::log!(level, "{message}"),
            Some(suppressed) => ::log::log!(level, "{message} ({suppressed} more suppressed)"),
            None => {}
        }
    }
}

/// The number of lines about streams that the SDK writes for each period of streams.
const OWN_LINES: u32 = 30;
const STREAMS: u32 = 512;

thread_local! {
    /// The last period of streams with a line, and its number of lines.
    static OWN: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Writes a line of the SDK about a stream, unless clients cause too many. It is not a
/// [`RateLimit`], because every module contains it: context ids count the streams, and no clock is
/// read.
#[cold]
#[inline]
pub(crate) fn write_limited(level: LogLevel, line: &Line) {
    let streams = current::context_id() / STREAMS;
    let (before, lines) = OWN.get();
    let lines = if streams == before { lines } else { 0 };
    if lines < OWN_LINES {
        OWN.set((streams, lines + 1));
        write(level, line.as_bytes());
    }
}

/// Logs at the level `warn`, at most 10 lines at once and one a second after that: see
/// [`RateLimit`].
///
/// Each place in the source has its own limit. Use it for lines that a client, or an unavailable
/// service, can cause with each request.
///
/// ```
/// # fn f(path: &proxy_filter::HeaderValue) {
/// use proxy_filter::log;
///
/// log::warn_limited!("{path} is not a path");
/// # }
/// ```
#[doc(inline)]
pub use crate::__warn_limited as warn_limited;

/// Logs at the level `error`, at most 10 lines at once and one a second after that: see
/// [`RateLimit`].
///
/// Each place in the source has its own limit.
///
/// ```
/// # fn f(error: &proxy_filter::Error) {
/// use proxy_filter::log;
///
/// log::error_limited!("no decision: {error}");
/// # }
/// ```
#[doc(inline)]
pub use crate::__error_limited as error_limited;

/// See [`warn_limited`].
#[doc(hidden)]
#[macro_export]
macro_rules! __warn_limited {
    ($($message:tt)+) => { $crate::__limited!(Warn, $($message)+) };
}

/// See [`error_limited`].
#[doc(hidden)]
#[macro_export]
macro_rules! __error_limited {
    ($($message:tt)+) => { $crate::__limited!(Error, $($message)+) };
}

/// One place, with its own limit.
#[doc(hidden)]
#[macro_export]
macro_rules! __limited {
    ($level:ident, $($message:tt)+) => {{
        ::std::thread_local! {
            static LIMIT: $crate::log::RateLimit =
                const { $crate::log::RateLimit::new(10, ::core::time::Duration::from_secs(1)) };
        }
        LIMIT.with(|limit| limit.log($crate::log::Level::$level, ::core::format_args!($($message)+)));
    }};
}
