//! Logging through the [`log`] facade. It needs no setup.
//!
//! `log::info!("…")` and the other macros write to the host's log at the same level. The host's
//! level decides what is written. The SDK reads it for the first line of a configuration or a tick,
//! and again every 32 streams. A change of the level in a running proxy is therefore noticed,
//! without a host call for each line. A line below the level is neither formatted nor sent to the
//! host. A module that never logs imports nothing for it.
//!
//! ```
//! use proxy_filter::log;
//! # fn f(status: u16) {
//! log::debug!("the authorization server answered {status}");
//! # }
//! ```
//!
//! The macros are re-exported here: `use proxy_filter::log;` is sufficient.
//!
//! # Lines that a client can cause
//!
//! A line at `warn` or `error` for each bad request lets a client fill the log.
//! [`warn_limited!`](warn_limited) and [`error_limited!`](error_limited) write the first 10 lines,
//! then one a second, with the number of suppressed lines. [`RateLimit`] is for other rates. The
//! SDK's own lines, about a failed callback for example, have a separate limit: 30 lines for each
//! 512 streams of a VM.
//!
//! # Envoy
//!
//! Envoy prints the plugin's name before the lines of a stream. The level is that of its logger
//! `wasm`. Set it with `--component-log-level wasm:debug` or the admin endpoint
//! `/logging?wasm=debug`.
//!
//! Source: context API, "Application log API"; ABI 0.2.1, `proxy_log` and `proxy_get_log_level`.

pub(crate) mod escaped;
pub(crate) mod limit;
pub(crate) mod line;
#[cfg(feature = "panic-hook")]
pub(crate) mod panic_hook;

pub use crate::abi::log_level::LogLevel;
pub use crate::log::escaped::{Escaped, escaped};
pub use crate::log::limit::RateLimit;
pub(crate) use crate::log::limit::write_limited;
pub use crate::sys::LogOutOfMemory;
pub use limit::{error_limited, warn_limited};
pub use log::{Level, debug, error, info, log_enabled, trace, warn};

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

/// Writes a line whatever the cached level is; hosts check the level again.
#[doc(alias = "proxy_log")]
pub(crate) fn write(level: LogLevel, message: &[u8]) {
    // If the host refuses a log line, there is no other place to report it.
    let _ = sys::proxy_log(level.raw(), message);
}

thread_local! {
    /// The host's level, and the epoch in which it was read.
    static HOST_LEVEL: Cell<(LogLevel, u32)> = const { Cell::new((LogLevel::Trace, 0)) };
    /// Formatted lines reuse one buffer.
    static BUFFER: RefCell<Text> = const { RefCell::new(Text(Vec::new())) };
}

/// The buffer of a longer line is not kept.
const KEPT_BUFFER: usize = 4096;

/// A formatted line. `String` would add a second way to append a `char` to the module; the default
/// method of the trait suffices.
struct Text(Vec<u8>);

impl Text {
    fn write(&mut self, level: LogLevel, message: core::fmt::Arguments<'_>) {
        self.0.clear();
        // If a `Display` fails, what it has written so far is logged.
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

/// The target of the [`log`] facade.
struct Logger;

impl Logger {
    fn host_level() -> LogLevel {
        let epoch = current::epoch();
        let (level, read_in) = HOST_LEVEL.get();
        if read_in == epoch {
            return level;
        }
        // A host without the function gets every line, and filters them itself.
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
            // A `Display` that logs while it is formatted, or a native thread that ends: the shared
            // buffer is not available.
            Text(Vec::new()).write(level, *record.args());
        }
    }

    fn flush(&self) {}
}

/// Makes the [`log`] facade write to the host, unless the filter has installed a logger of its own.
pub(crate) fn install() {
    // Fails if a logger is already installed: the filter's own or, natively, this one.
    let _ = ::log::set_logger(&Logger);
    ::log::set_max_level(::log::LevelFilter::Trace);
}
