//! What the macros of [`log`](crate::log) expand to.

pub use crate::log::parts::{Argument, DisplayPart, Part, TextPart};
pub use log::Level;

/// Returns whether lines of this level are written.
#[inline]
pub fn is_enabled(level: Level) -> bool {
    level <= ::log::STATIC_MAX_LEVEL && crate::log::is_enabled(level)
}

/// Writes a line. The target is for other loggers than the host's.
#[inline]
pub fn write(level: Level, target: &'static str, parts: &[Part<'_>]) {
    #[cfg(target_family = "wasm")]
    let _ = target;
    #[cfg(not(target_family = "wasm"))]
    if !crate::sys::is_installed() {
        // A unit test without a host.
        let text: String = parts.iter().map(ToString::to_string).collect();
        return ::log::log!(target: target, level, "{text}");
    }
    crate::log::write_parts(level, parts);
}
