//! Logging through the [`log`] facade: it works without any set-up.
//!
//! `log::info!("…")` and its siblings write to the host's log at the same level. The host's own level decides what is written: it is
//! read when the first line of a configuration or tick is about to be logged, and again every 32 streams, so that an operator
//! who changes the level of a running proxy is followed without a host call a line. A line below the level is neither formatted
//! nor handed to the host. A module that never logs imports nothing for it.
//!
//! ```
//! use proxy_filter::log;
//! # fn f(status: u16) {
//! log::debug!("the authorization server answered {status}");
//! # }
//! ```
//!
//! The macros are re-exported here, so that `use proxy_filter::log;` is all a filter needs.
//!
//! # Lines that a client can cause
//!
//! A line at `warn` or `error` for each bad request lets a client fill the log. [`warn_limited!`](warn_limited) and
//! [`error_limited!`](error_limited) write the first 10 lines, then one a second, and say how many were suppressed; [`RateLimit`] is for other
//! rates. The lines that the SDK writes by itself, about a callback that failed for example, have a limit of their own: 30 lines for
//! each 512 streams of a VM.
//!
//! # Envoy
//!
//! Envoy prints the plugin's name before the lines of a stream. The level of its logger `wasm` decides, which
//! `--component-log-level wasm:debug` or the admin endpoint `/logging?wasm=debug` set.
//!
//! Source: context API, "Application log API"; ABI 0.2.1, `proxy_log` and `proxy_get_log_level`.

pub(crate) mod limit;
pub(crate) mod line;
#[cfg(feature = "panic-hook")]
pub(crate) mod panic_hook;
pub(crate) mod printable;

pub use crate::log::limit::RateLimit;
pub(crate) use crate::log::limit::write_limited;
pub use limit::{error_limited, warn_limited};
pub use log::{Level, debug, error, info, log_enabled, trace, warn};

use crate::abi::log_level::LogLevel;
use crate::current;
use crate::sys;
use core::fmt::Write as _;
use std::cell::{Cell, RefCell};

/// Writes a line at [`LogLevel::Critical`], which the [`log`] facade does not have.
///
/// ```
/// # fn f() {
/// proxy_filter::log::critical("the signing key is gone");
/// # }
/// ```
#[doc(alias = "LogCritical")]
pub fn critical(message: impl AsRef<[u8]>) {
    write(LogLevel::Critical, message.as_ref());
}

/// Writes a line whatever the host's level is; hosts check it again.
#[doc(alias = "proxy_log")]
pub(crate) fn write(level: LogLevel, message: &[u8]) {
    // A host that refuses a log line leaves nobody to tell.
    let _ = sys::proxy_log(level.raw(), message);
}

thread_local! {
    /// The host's level, and the epoch in which it was read.
    static HOST_LEVEL: Cell<(LogLevel, u32)> = const { Cell::new((LogLevel::Trace, 0)) };
    /// Formatted lines reuse one buffer.
    static BUFFER: RefCell<Text> = const { RefCell::new(Text(Vec::new())) };
}

/// A line longer than this does not keep its buffer.
const KEPT_BUFFER: usize = 4096;

/// A formatted line. A `String` would bring a second way to append a `char` along; the default one serves as well.
struct Text(Vec<u8>);

impl Text {
    fn write(&mut self, level: LogLevel, message: core::fmt::Arguments<'_>) {
        self.0.clear();
        // A `Display` that fails leaves what it has written so far.
        let _ = self.write_fmt(message);
        write(level, &self.0);
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// What the [`log`] facade writes to.
struct Logger;

impl Logger {
    fn host_level() -> LogLevel {
        let epoch = current::epoch();
        let (level, read_in) = HOST_LEVEL.get();
        if read_in == epoch {
            return level;
        }
        // A host without the function gets every line and filters itself.
        let level = sys::proxy_get_log_level().ok().and_then(LogLevel::from_raw).unwrap_or(LogLevel::Trace);
        HOST_LEVEL.set((level, epoch));
        level
    }
}

impl ::log::Log for Logger {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        LogLevel::from(metadata.level()) >= Self::host_level()
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level().into();
        if let Some(text) = record.args().as_str() {
            return write(level, text.as_bytes());
        }
        let formatted = BUFFER.try_with(|buffer| {
            let mut buffer = buffer.try_borrow_mut().ok()?;
            buffer.write(level, *record.args());
            if buffer.0.capacity() > KEPT_BUFFER {
                buffer.0 = Vec::new();
            }
            Some(())
        });
        if !matches!(formatted, Ok(Some(()))) {
            // A `Display` that logs while it is being logged, or a native thread that ends: without the common buffer.
            Text(Vec::new()).write(level, *record.args());
        }
    }

    fn flush(&self) {}
}

/// Makes the [`log`] facade write to the host, unless the filter has installed a logger of its own.
pub(crate) fn install() {
    // Fails when a logger is there already: the filter's own, or, natively, this one.
    let _ = ::log::set_logger(&Logger);
    ::log::set_max_level(::log::LevelFilter::Trace);
}
