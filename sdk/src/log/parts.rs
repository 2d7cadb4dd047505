//! The parts of a line, most of which need no `core::fmt`.

use crate::log::escaped::Escaped;
use core::fmt;

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
