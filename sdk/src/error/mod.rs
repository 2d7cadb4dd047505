//! [`Error`]: what failed, the host function that returned the status, and what to do about it.

pub(crate) mod close;
pub(crate) mod denial;
pub(crate) mod kind;
pub(crate) mod local_reply;
pub(crate) mod policy;

use crate::abi::log_level::LogLevel;
use crate::abi::status::Status;
use crate::abi::stream_type::StreamType;
use crate::current::Callback;
use crate::error::close::close;
pub(crate) use crate::error::kind::ErrorKind;
use crate::error::local_reply::LocalReply;
use crate::log;
use crate::log::line::Line;
use crate::sys::owned::{Owned, Release};
use core::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// The reason why a call failed.
///
/// Match on [`kind`](Error::kind); print the error for the details. A callback may return it with
/// `?`. The SDK then logs the failure with the callback and the context id, and the filter's
/// [`FailurePolicy`](crate::FailurePolicy) decides about the stream. Other streams are unaffected.
///
/// ```
/// use proxy_filter::{Error, ErrorKind, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     Ok(text.parse::<u16>()?) // common errors of the standard library convert
/// }
/// let error = port("http").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Other);
///
/// let error = Error::other("no such tenant"); // anything that displays is an error
/// assert_eq!(error.to_string(), "no such tenant");
/// ```
///
/// # Denials
///
/// An error can carry a [`LocalReply`](crate::LocalReply), so that a helper that returns
/// `Result<T>` can deny with `?`. Such an error is a denial, not a failure: the client gets the
/// reply under every failure policy, and nothing is logged at error level.
///
/// ```
/// use proxy_filter::prelude::*;
///
/// /// The tenant that a request names.
/// fn tenant(request: &RequestHeaders) -> Result<HeaderValue> {
///     let tenant = request.get("x-tenant")?;
///     Ok(tenant.ok_or_else(|| LocalReply::new(400).body("a tenant is needed\n"))?)
/// }
///
/// fn on_request_headers(request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
///     let tenant = tenant(request)?; // without one, the client gets the 400
///     request.replace("x-route", tenant)?;
///     Ok(FilterHeadersStatus::Continue)
/// }
/// ```
///
/// [`with_reply`](Self::with_reply) adds a reply to an error that keeps the reason. The rules for a
/// carried reply are those for a returned one: if response headers were already sent, the stream is
/// reset instead, and a TCP connection is closed. Some callbacks cannot deny and only log the
/// error: those of root contexts, `on_log`, `on_done`, `on_delete`, the metadata callbacks and
/// `on_foreign_function`.
///
/// An error without a reply has a [`status`](Self::status), which the closed policy sends.
pub struct Error(
    /// One pointer: a `Result` stays in registers, and callbacks that do not fail pay nothing for
    /// errors.
    Owned<Inner>,
);

struct Inner {
    kind: ErrorKind,
    /// The HTTP status for the client.
    status: u16,
    why: Why,
}

impl Release for Inner {
    #[cold]
    #[inline(never)]
    fn release(content: Box<Self>) {
        drop(content);
    }
}

enum Why {
    /// A host function returned an error status.
    Host { function: &'static str, status: Status },
    /// The SDK refused before it called the host.
    Refused(&'static str),
    /// An error of the filter or of a library.
    Message(Box<str>),
    /// A denial. It is a trait object, so that filters without denials contain no code for them.
    Denied(Box<dyn Denied>),
}

impl Error {
    /// Creates an error of the filter from anything that implements `Display`.
    ///
    /// ```
    /// # use proxy_filter::{Error, Result};
    /// fn check(score: f32) -> Result<()> {
    ///     if score > 1.0 {
    ///         Err(Error::other(format_args!("score {score} is above 1")))
    ///     } else {
    ///         Ok(())
    ///     }
    /// }
    /// assert_eq!(check(2.0).unwrap_err().to_string(), "score 2 is above 1");
    /// ```
    #[cold]
    #[must_use = "an error does nothing unless the callback returns it"]
    pub fn other(message: impl fmt::Display) -> Self {
        Self::message(ErrorKind::Other, message)
    }

    #[cold]
    pub(crate) fn message(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self::text(kind, message.to_string().into_boxed_str())
    }

    /// Creates the same from an existing text.
    #[cold]
    pub(crate) fn text(kind: ErrorKind, message: Box<str>) -> Self {
        let status = if kind == ErrorKind::Callout { 503 } else { 500 };
        Self::new(kind, status, Why::Message(message))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refused(kind: ErrorKind, why: &'static str) -> Self {
        let status = if kind == ErrorKind::Callout { 503 } else { 500 };
        Self::deserving(status, kind, why)
    }

    /// Creates an error with another status than 500.
    #[cold]
    #[inline(never)]
    pub(crate) fn deserving(status: u16, kind: ErrorKind, why: &'static str) -> Self {
        Self::new(kind, status, Why::Refused(why))
    }

    /// Returns the HTTP status for the client: that of the carried reply, or else the one that the
    /// closed failure policy sends.
    ///
    /// | Error | Status |
    /// |---|---|
    /// | an upgrade that announces a body, for [`request_headers_with_body`](crate::Exchange::request_headers_with_body) | 400 |
    /// | a tunnel, for [`response_body`](crate::Exchange::response_body) and [`response_headers_with_body`](crate::Exchange::response_headers_with_body) | 403 |
    /// | a request body above the limit of [`request_body`](crate::Exchange::request_body) | 413 |
    /// | a response body above the limit of [`response_body`](crate::Exchange::response_body), while the response headers are paused | 502 |
    /// | [`Callout`](ErrorKind::Callout): the call to another service failed | 503 |
    /// | all others | 500 |
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns the level at which the failure is logged. Failures that clients can cause at any
    /// rate are not logged at error level.
    #[inline]
    pub(crate) fn level(&self) -> LogLevel {
        match self.0.kind {
            ErrorKind::EarlyResponse => LogLevel::Debug,
            _ if self.0.status < 500 => LogLevel::Info,
            _ => LogLevel::Error,
        }
    }

    /// Logs that a callback failed with this error, and the consequence: a text, and the status of
    /// the response unless it is 0.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, level: LogLevel, callback: Callback, context_id: u32, consequence: &str, status: u32) {
        let mut line = Line::new();
        line.push_callback(callback, context_id);
        line.push(" failed: ");
        self.write_to(&mut line);
        line.push(consequence);
        if status != 0 {
            line.push_number(status);
        }
        log::write_limited(level, &line);
    }

    #[cold]
    #[inline(never)]
    fn new(kind: ErrorKind, status: u16, why: Why) -> Self {
        Self(Owned::new(Inner { kind, status, why }))
    }

    /// Creates the error for a status of a host function whose object is available in some phases
    /// only.
    #[cold]
    #[inline(never)]
    pub(crate) fn host(function: &'static str, status: Status) -> Self {
        let kind = match status {
            Status::BAD_ARGUMENT => ErrorKind::WrongPhase,
            Status::NOT_FOUND => ErrorKind::NotFound,
            Status::UNIMPLEMENTED => ErrorKind::Unimplemented,
            other => ErrorKind::Refused(other),
        };
        Self::host_as(function, status, kind)
    }

    /// Creates the error for a host function whose statuses have another meaning.
    #[cold]
    pub(crate) fn host_as(function: &'static str, status: Status, kind: ErrorKind) -> Self {
        Self::new(kind, 500, Why::Host { function, status })
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the host function that failed, for example `proxy_add_header_map_value`. `None` if
    /// the host was not called.
    pub fn host_function(&self) -> Option<&'static str> {
        match &self.0.why {
            Why::Host { function, .. } => Some(function),
            Why::Denied(denied) => denied.cause().and_then(Self::host_function),
            _ => None,
        }
    }

    /// Writes what `Display` would, without `core::fmt`.
    pub(crate) fn write_to(&self, line: &mut Line) {
        let rest = match &self.0.why {
            Why::Host { function, status } => {
                line.push(function);
                line.push(" returned ");
                if let Some(name) = status.name() {
                    line.push(name);
                } else {
                    line.push("status ");
                    line.push_number(status.raw());
                }
                self.0.kind.advice()
            }
            Why::Refused(why) => why,
            Why::Message(message) => message,
            Why::Denied(denied) => return denied.write_to(line),
        };
        line.push(rest);
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.why {
            Why::Host { function, status } => match status.name() {
                Some(name) => write!(f, "{function} returned {name}{}", self.0.kind.advice()),
                None => write!(f, "{function} returned {status}{}", self.0.kind.advice()),
            },
            Why::Refused(why) => f.write_str(why),
            Why::Message(message) => f.write_str(message),
            Why::Denied(denied) => match denied.cause() {
                Some(cause) => fmt::Display::fmt(cause, f),
                None => write!(f, "{DENIED}{}", self.0.status),
            },
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl core::error::Error for Error {}

/// A reply in an error.
pub(crate) trait Denied {
    /// Returns the reply, unless it was sent.
    fn reply(&self) -> Option<&LocalReply>;
    /// Returns the error that the reply was added to.
    fn cause(&self) -> Option<&Error>;
    /// Sends the reply, and logs the cause at debug level.
    fn carry_out(&mut self, callback: Callback, context_id: u32);
    /// Writes the reason, without `core::fmt`.
    fn write_to(&self, line: &mut Line);
}

struct WithReply {
    reply: Option<LocalReply>,
    cause: Option<Error>,
}

impl Denied for WithReply {
    fn reply(&self) -> Option<&LocalReply> {
        self.reply.as_ref()
    }

    fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }

    fn carry_out(&mut self, callback: Callback, context_id: u32) {
        if let Some(cause) = &self.cause {
            cause.report(LogLevel::Debug, callback, context_id, "; the stream is denied", 0);
        }
        if let Some(reply) = self.reply.take() {
            send_reply(reply, callback, context_id);
        }
    }

    fn write_to(&self, line: &mut Line) {
        if let Some(cause) = &self.cause {
            return cause.write_to(line);
        }
        line.push(DENIED);
        line.push_number(self.reply.as_ref().map_or(0, LocalReply::status).into());
    }
}

/// The log text of a denial without a cause, in callbacks where it cannot be sent.
const DENIED: &str = "denied with status ";

impl Error {
    /// Turns the error into a denial: the client gets `reply` under every failure policy, and the
    /// error is logged at debug level. It replaces a reply that the error already carries.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    ///
    /// fn quantity(request: &RequestHeaders) -> Result<u32> {
    ///     let text = request.get("x-quantity")?.unwrap_or_default().to_string();
    ///     text.parse().map_err(|error| Error::other(error).with_reply(LocalReply::new(400)))
    /// }
    /// ```
    #[cold]
    #[must_use = "an error denies only if the callback returns it"]
    pub fn with_reply(self, reply: LocalReply) -> Self {
        let (kind, status) = (self.kind(), reply.status());
        // `self` has no reply, or is a denial whose reply the new one replaces.
        let denied = WithReply { reply: Some(reply), cause: Some(self) };
        Self::new(kind, status, Why::Denied(Box::new(denied)))
    }

    /// Returns the reply that the error carries. `None` for a failure, for which the failure policy
    /// decides.
    pub fn reply(&self) -> Option<&LocalReply> {
        match &self.0.why {
            Why::Denied(denied) => denied.reply(),
            _ => None,
        }
    }

    /// Returns whether the error carries a reply.
    #[inline]
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self.0.why, Why::Denied(_))
    }

    /// Returns the denial, if the error carries a reply.
    #[inline]
    pub(crate) fn denial(&mut self) -> Option<&mut dyn Denied> {
        match &mut self.0.why {
            Why::Denied(denied) => Some(&mut **denied),
            _ => None,
        }
    }
}

impl From<LocalReply> for Error {
    #[cold]
    fn from(reply: LocalReply) -> Self {
        Self::new(
            ErrorKind::Denied,
            reply.status(),
            Why::Denied(Box::new(WithReply { reply: Some(reply), cause: None })),
        )
    }
}

/// Sends a reply. If the host refuses it, resets the HTTP stream.
#[cold]
#[inline(never)]
pub(crate) fn send_reply(reply: LocalReply, callback: Callback, context_id: u32) {
    let Err(status) = reply.send() else { return };
    // The host would refuse another reply too.
    let error = Error::host("proxy_send_local_response", status);
    error.report(LogLevel::Error, callback, context_id, "; the stream is reset", 0);
    close(StreamType::HTTP_RESPONSE);
}

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
    use crate::error::local_reply::LocalReply;

    #[test]
    fn logging_without_formatting_prints_the_same_text_as_display() {
        let statuses = (1..=14).filter_map(Status::from_raw).map(|status| Error::host("proxy_get_property", status));
        let others = [Error::other("text"), Error::refused(ErrorKind::TooLarge, "too large"), Error::from("text")];
        for error in statuses.chain(others) {
            let mut line = Line::new();
            error.write_to(&mut line);
            assert_eq!(String::from_utf8_lossy(line.as_bytes()), error.to_string());
        }
    }

    #[test]
    fn an_error_that_carries_a_reply_is_still_the_error_that_it_was() {
        let error = Error::from(LocalReply::new(401));
        assert_eq!(
            (error.kind(), error.status(), error.to_string().as_str()),
            (ErrorKind::Denied, 401, "denied with status 401")
        );
        let error = Error::host("proxy_get_property", Status::NOT_FOUND)
            .with_reply(LocalReply::new(403))
            .with_reply(LocalReply::new(404));
        assert_eq!((error.kind(), error.status()), (ErrorKind::NotFound, 404));
        assert_eq!(error.reply().map(LocalReply::status), Some(404));
        assert_eq!(error.host_function(), Some("proxy_get_property"));
        let mut line = Line::new();
        error.write_to(&mut line);
        assert_eq!(error.to_string(), "proxy_get_property returned NotFound: it does not exist here");
        assert_eq!(String::from_utf8_lossy(line.as_bytes()), error.to_string());
    }

    #[test]
    fn an_error_is_as_wide_as_a_pointer() {
        assert_eq!((size_of::<Error>(), size_of::<Result<()>>()), (size_of::<usize>(), size_of::<usize>()));
    }

    #[test]
    fn a_refusal_says_which_function_and_what_to_do() {
        let error = Error::host("proxy_add_header_map_value", Status::BAD_ARGUMENT);
        assert_eq!(error.kind(), ErrorKind::WrongPhase);
        assert_eq!(error.host_function(), Some("proxy_add_header_map_value"));
        assert_eq!(
            format!("{error:?}"),
            "WrongPhase: proxy_add_header_map_value returned BadArgument: not available in this phase, or a bad argument"
        );
    }
}
