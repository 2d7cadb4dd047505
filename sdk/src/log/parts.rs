//! What the macros of [`log`](crate::log) expand to: a line in parts, most of which need no
//! `core::fmt`.

use crate::log::escaped::Escaped;
use core::fmt;
pub use log::Level;

/// A part of a line.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// Text that is written as it is.
    Text(&'a str),
    /// Bytes from the network.
    Escaped(Escaped<'a>),
    /// Anything else.
    Display(&'a dyn fmt::Display),
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Escaped(bytes) => bytes.fmt(f),
            Self::Display(value) => value.fmt(f),
        }
    }
}

/// A value of which the `Display` is text, or bytes that are shown as [`Escaped`].
pub trait AsPart {
    /// Returns the value as a part.
    fn as_part(&self) -> Part<'_>;
}

impl AsPart for str {
    #[inline]
    fn as_part(&self) -> Part<'_> {
        Part::Text(self)
    }
}

impl AsPart for String {
    #[inline]
    fn as_part(&self) -> Part<'_> {
        Part::Text(self)
    }
}

impl AsPart for Escaped<'_> {
    #[inline]
    fn as_part(&self) -> Part<'_> {
        Part::Escaped(*self)
    }
}

impl<T: AsPart + ?Sized> AsPart for &T {
    #[inline]
    fn as_part(&self) -> Part<'_> {
        (**self).as_part()
    }
}

/// An argument of a line. `(&Argument(value)).part()` calls [`TextPart`] if the type has it, and
/// otherwise [`DisplayPart`], which takes one reference more.
#[derive(Debug)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

/// Arguments that are text.
pub trait TextPart {
    /// Returns the argument as a part.
    fn part(&self) -> Part<'_>;
}

impl<T: AsPart + ?Sized> TextPart for Argument<'_, T> {
    #[inline]
    fn part(&self) -> Part<'_> {
        self.0.as_part()
    }
}

/// All other arguments.
pub trait DisplayPart {
    /// Returns the argument as a part.
    fn part(&self) -> Part<'_>;
}

impl<T: fmt::Display> DisplayPart for &Argument<'_, T> {
    #[inline]
    fn part(&self) -> Part<'_> {
        Part::Display(self.0)
    }
}

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
