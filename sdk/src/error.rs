//! [`Error`]: what went wrong, which host function said so, and what to do about it.

use crate::abi::Status;
use crate::runtime::line::Line;
use core::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a call failed.
///
/// Match on [`kind`](Error::kind); print it for the rest. A callback may return it with `?`: the failure is logged with the
/// callback and the context id, and the stream is handled by the filter's [`FailurePolicy`](crate::FailurePolicy). Other streams do
/// not notice.
///
/// ```
/// use proxy_filter::{Error, ErrorKind, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     Ok(text.parse::<u16>()?)                                  // common errors of the standard library convert
/// }
/// let error = port("http").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Other);
///
/// let error = Error::other("no such tenant");                   // anything that displays is an error
/// assert_eq!(error.to_string(), "no such tenant");
/// ```
pub struct Error(
    /// One pointer: a `Result` stays in registers, and a callback that does not fail pays nothing for its errors.
    Box<Repr>,
);

enum Repr {
    /// A host function refused.
    Host { function: &'static str, status: Status, kind: ErrorKind },
    /// The SDK refused before the host was asked.
    Refused { kind: ErrorKind, why: &'static str },
    /// The filter's own, or a library's.
    Message { kind: ErrorKind, message: Box<str> },
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for does not exist in this phase, for example request headers after they went on to the upstream.
    NotAvailableHere,
    /// The response began before the request had ended, so that the rest of the request does not
    /// come: see [`Exchange`](crate::Exchange#early-responses).
    EarlyResponse,
    /// It does not exist at all.
    NotFound,
    /// A name or value that is not valid HTTP ([`HeaderMap`](crate::HeaderMap) has the rules), or an argument that is out of its range.
    InvalidInput,
    /// A field that was to have one value has several, see [`get_single`](crate::HeaderMap::get_single).
    Repeated,
    /// More header pairs or bytes than hosts accept from a module (1,024 pairs, 1 MiB).
    TooLarge,
    /// The edit would leave a wrong `content-length` behind.
    ContentLength,
    /// The host answered with bytes that are not what they should be.
    Malformed,
    /// The time for it is over.
    Elapsed,
    /// Other threads were faster every time a shared value was to be updated.
    Contention,
    /// The host does not have this function, or its configuration restricts it.
    Unimplemented,
    /// A configuration could not be read.
    Configuration,
    /// Another service could not be asked, or gave no answer: [`CalloutError`](crate::CalloutError) says more.
    Callout,
    /// The host refused for another reason.
    Refused(Status),
    /// The filter's own error.
    Other,
}

impl Error {
    /// An error of the filter's own: anything that displays.
    ///
    /// ```
    /// # use proxy_filter::{Error, Result};
    /// fn check(score: f32) -> Result<()> {
    ///     if score > 1.0 { Err(Error::other(format_args!("score {score} is above 1"))) } else { Ok(()) }
    /// }
    /// assert_eq!(check(2.0).unwrap_err().to_string(), "score 2 is above 1");
    /// ```
    #[cold]
    pub fn other(message: impl fmt::Display) -> Self {
        Self::message(ErrorKind::Other, message)
    }

    #[cold]
    pub(crate) fn message(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self::new(Repr::Message { kind, message: message.to_string().into_boxed_str() })
    }

    /// The same for a text that is there already.
    #[cold]
    pub(crate) fn text(kind: ErrorKind, message: Box<str>) -> Self {
        Self::new(Repr::Message { kind, message })
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refused(kind: ErrorKind, why: &'static str) -> Self {
        Self::new(Repr::Refused { kind, why })
    }

    #[cold]
    #[inline(never)]
    fn new(repr: Repr) -> Self {
        Self(Box::new(repr))
    }

    /// What a status means coming from a function about something that exists only in some phases.
    #[cold]
    #[inline(never)]
    pub(crate) fn host(function: &'static str, status: Status) -> Self {
        let kind = match status {
            Status::BAD_ARGUMENT => ErrorKind::NotAvailableHere,
            Status::NOT_FOUND => ErrorKind::NotFound,
            Status::UNIMPLEMENTED => ErrorKind::Unimplemented,
            other => ErrorKind::Refused(other),
        };
        Self::new(Repr::Host { function, status, kind })
    }

    /// The same from a function whose statuses mean something of their own.
    #[cold]
    pub(crate) fn host_as(function: &'static str, status: Status, kind: ErrorKind) -> Self {
        Self::new(Repr::Host { function, status, kind })
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            Repr::Host { kind, .. } | Repr::Refused { kind, .. } | Repr::Message { kind, .. } => *kind,
        }
    }

    /// The host function that refused, for example `proxy_add_header_map_value`; `None` if the host was not asked.
    pub fn host_function(&self) -> Option<&'static str> {
        match &*self.0 {
            Repr::Host { function, .. } => Some(function),
            _ => None,
        }
    }

    /// Writes what `Display` would, without the formatting machinery.
    pub(crate) fn write_to(&self, line: &mut Line) {
        match &*self.0 {
            Repr::Host { function, status, kind } => {
                line.push(function);
                line.push(" answered ");
                if let Some(name) = status.name() {
                    line.push(name);
                } else {
                    line.push("status ");
                    line.push_number(status.raw());
                }
                line.push(kind.advice());
            }
            Repr::Refused { why, .. } => line.push(why),
            Repr::Message { message, .. } => line.push(message),
        }
    }
}

impl ErrorKind {
    /// What to do about a host's refusal.
    const fn advice(self) -> &'static str {
        match self {
            Self::NotAvailableHere => ": not available in this phase, or a bad argument",
            Self::NotFound => ": it does not exist here",
            Self::Unimplemented => ": this host does not have the function",
            Self::Refused(Status::INTERNAL_FAILURE) => ": the host failed, or restricts the capability",
            Self::Refused(Status::INVALID_MEMORY_ACCESS) => ": the module is out of memory",
            _ => "",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Repr::Host { function, status, kind } => match status.name() {
                Some(name) => write!(f, "{function} answered {name}{}", kind.advice()),
                None => write!(f, "{function} answered {status}{}", kind.advice()),
            },
            Repr::Refused { why, .. } => f.write_str(why),
            Repr::Message { message, .. } => f.write_str(message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl core::error::Error for Error {}

macro_rules! from {
    ($($source:ty),* $(,)?) => {
        $(impl From<$source> for Error {
            #[cold]
            fn from(error: $source) -> Self {
                Self::other(error)
            }
        })*
    };
}

from! {
    core::str::Utf8Error, std::string::FromUtf8Error, core::num::ParseIntError, core::num::ParseFloatError, core::num::TryFromIntError,
    core::str::ParseBoolError, core::fmt::Error, core::array::TryFromSliceError, core::net::AddrParseError, std::time::SystemTimeError,
    Box<dyn core::error::Error>, Box<dyn core::error::Error + Send + Sync>, String, &str,
}

#[cfg(feature = "json")]
from!(serde_json::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_without_formatting_is_what_display_prints() {
        let statuses = (1..=14).filter_map(Status::from_raw).map(|status| Error::host("proxy_get_property", status));
        let others = [Error::other("text"), Error::refused(ErrorKind::TooLarge, "too large"), Error::from("text")];
        for error in statuses.chain(others) {
            let mut line = Line::new();
            error.write_to(&mut line);
            assert_eq!(String::from_utf8_lossy(line.as_bytes()), error.to_string());
        }
    }

    #[test]
    fn a_refusal_says_which_function_and_what_to_do() {
        let error = Error::host("proxy_add_header_map_value", Status::BAD_ARGUMENT);
        assert_eq!(error.kind(), ErrorKind::NotAvailableHere);
        assert_eq!(error.host_function(), Some("proxy_add_header_map_value"));
        assert_eq!(
            format!("{error:?}"),
            "NotAvailableHere: proxy_add_header_map_value answered BadArgument: not available in this phase, or a bad argument"
        );
    }
}
