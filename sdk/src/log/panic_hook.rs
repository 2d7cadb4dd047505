//! Writes a panic in the filter's code to the host's log before the module traps.

use crate::abi::log_level::LogLevel;
use crate::current;
use crate::log;
use crate::log::line::Line;
use std::panic;
use std::panic::PanicHookInfo;

/// Writes the message, location, callback and context id to the host's log.
///
/// It neither allocates nor formats: the module may be out of memory, and every module contains
/// this code.
fn report(info: &PanicHookInfo<'_>) {
    let mut line = Line::new();
    line.push_callback(current::callback(), current::context_id());
    line.push(" panicked at ");
    if let Some(location) = info.location() {
        line.push_numbered(location.file(), ":", location.line());
        line.push_numbered("", ":", location.column());
    }
    line.push(": ");
    let payload = info.payload();
    line.push(if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "no message"
    });
    log::write(LogLevel::Critical, line.as_bytes());
}

/// Installs the hook: once for each module on wasm; elsewhere once for each process, where it acts
/// only in threads that run a filter.
#[cfg(target_family = "wasm")]
pub(crate) fn install() {
    panic::set_hook(Box::new(report));
}

/// Installs the hook: once for each module on wasm; elsewhere once for each process, where it acts
/// only in threads that run a filter.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| if crate::sys::is_installed() { report(info) } else { outer(info) }));
    });
}
