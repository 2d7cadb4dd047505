//! Logging to the host. It needs no setup.
//!
//! `log::info!("…")` and the other macros write to the host's log at the same level. They take what
//! the macros of the crate [`log`] take, and lines of that crate reach the host too. A line of
//! text, [`escaped`] bytes and header values is written without `core::fmt`, if its placeholders
//! have no options.
//!
//! The host's level decides what is written. The SDK reads it for the first line of a configuration
//! or a tick, and again every 32 streams. A change of the level in a running proxy is therefore
//! noticed, without a host call for each line. A line below the level is neither formatted nor sent
//! to the host. A module that never logs imports nothing for it.
//!
//! ```
//! use proxy_filter::log;
//! # fn f(status: u16) {
//! log::debug!("the authorization server answered {status}");
//! # }
//! ```
//!
//! Without a host, in a native unit test, the macros write to the logger of the crate [`log`].
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
pub mod expanded;
pub(crate) mod limit;
pub(crate) mod line;
#[cfg(feature = "panic-hook")]
pub(crate) mod panic_hook;
pub mod parts;

pub use crate::abi::log_level::LogLevel;
pub use crate::log::escaped::{Escaped, escaped};
pub use crate::log::limit::RateLimit;
pub(crate) use crate::log::limit::write_limited;
pub use crate::sys::LogOutOfMemory;
pub use limit::{error_limited, warn_limited};
pub use log::{Level, log_enabled};
pub use proxy_filter_macros::{debug, error, info, trace, warn};

use crate::current;
use crate::current::Moment;
use crate::log::escaped::escape;
use crate::log::parts::Part;
use crate::sys;
use crate::sys::text::{WORDS, are_plain_words};
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
    /// The host's level, and when it was read.
    static HOST_LEVEL: Cell<(LogLevel, Moment)> = const { Cell::new((LogLevel::Trace, Moment::NEVER)) };
    /// Formatted lines reuse one buffer.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer of a longer line is not kept.
const KEPT_BUFFER: usize = 4096;

/// A formatted line. `String` would add a second way to append a `char` to the module; the default
/// method of the trait suffices.
struct Text(Vec<u8>);

impl Text {
    /// Writes the line that `fill` appends. A `Display` that logs while it is formatted, and a
    /// native thread that ends, get a buffer of their own.
    #[inline]
    fn write(level: LogLevel, fill: impl FnOnce(&mut Self)) {
        let mut text = Self(BUFFER.try_with(Cell::take).unwrap_or_default());
        text.0.clear();
        fill(&mut text);
        write(level, &text.0);
        if text.0.capacity() <= KEPT_BUFFER {
            let _ = BUFFER.try_with(|buffer| buffer.set(text.0));
        }
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Returns whether the host writes lines of this level.
#[inline(never)]
pub(crate) fn is_enabled(level: ::log::Level) -> bool {
    #[cfg(not(target_family = "wasm"))]
    if !sys::is_installed() {
        return ::log::log_enabled!(level);
    }
    level <= ::log::max_level() && LogLevel::from(level) >= Logger::host_level()
}

/// Most lines are shorter than this number of bytes.
const SHORT: usize = 256;

thread_local! {
    static LINE: RefCell<[u8; SHORT]> = const { RefCell::new([0; SHORT]) };
}

/// Writes a line in parts.
#[inline(never)]
pub(crate) fn write_parts(level: ::log::Level, parts: &[Part<'_>]) {
    let level = level.into();
    if let [Part::Text(text)] = parts {
        return write(level, text.as_bytes());
    }
    let is_written =
        LINE.try_with(|line| line.try_borrow_mut().ok().and_then(|mut line| write_short(&mut line, level, parts)));
    if !matches!(is_written, Ok(Some(()))) {
        write_long(level, parts);
    }
}

/// Writes a short line that has nothing to escape or to format, or returns `None`.
#[inline]
fn write_short(line: &mut [u8; SHORT], level: LogLevel, parts: &[Part<'_>]) -> Option<()> {
    let mut length = 0;
    for part in parts {
        let bytes = match part {
            Part::Text(text) => text.as_bytes(),
            Part::Escaped(bytes) => bytes.as_raw(),
            Part::Display(_) => return None,
        };
        let end = length + bytes.len();
        line.get_mut(length..end)?.copy_from_slice(bytes);
        length = end;
    }
    // Whole words are checked, so the rest of the last one must be plain too.
    *line.get_mut(length..)?.first_chunk_mut::<WORDS>()? = [b' '; WORDS];
    if !are_plain_words(line, length) {
        return None;
    }
    write(level, line.get(..length)?);
    Some(())
}

/// Writes a line that is long, or has something to escape or to format.
#[cold]
#[inline(never)]
fn write_long(level: LogLevel, parts: &[Part<'_>]) {
    Text::write(level, |line| {
        for part in parts {
            // If a `Display` fails, what it has written so far is logged.
            let _ = match part {
                Part::Text(text) => line.write_str(text),
                Part::Escaped(bytes) => escape(bytes.as_raw(), line),
                Part::Display(value) => write!(line, "{value}"),
            };
        }
    });
}

/// The target of the [`log`] facade.
struct Logger;

impl Logger {
    #[inline]
    fn host_level() -> LogLevel {
        let (level, read_at) = HOST_LEVEL.get();
        if read_at == Moment::now() { level } else { Self::read_host_level(read_at.epoch) }
    }

    #[cold]
    #[inline(never)]
    fn read_host_level(read_in: u32) -> LogLevel {
        let epoch = current::epoch();
        // A host without the function gets every line, and filters them itself.
        let read = || sys::proxy_get_log_level().ok().and_then(LogLevel::from_raw).unwrap_or(LogLevel::Trace);
        let level = if read_in == epoch { HOST_LEVEL.get().0 } else { read() };
        HOST_LEVEL.set((level, Moment::now()));
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
        Text::write(level, |line| {
            // If a `Display` fails, what it has written so far is logged.
            let _ = line.write_fmt(*record.args());
        });
    }

    fn flush(&self) {}
}

/// Makes the [`log`] facade write to the host, unless the filter has installed a logger of its own.
pub(crate) fn install() {
    // Fails if a logger is already installed: the filter's own or, natively, this one.
    let _ = ::log::set_logger(&Logger);
    ::log::set_max_level(::log::LevelFilter::Trace);
}
