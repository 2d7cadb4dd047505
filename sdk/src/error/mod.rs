//! [`Error`]: what went wrong, which host function said so, and what to do about it.

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
///
/// # Denials
///
/// An error can carry a [`LocalReply`](crate::LocalReply), so that a helper that returns `Result<T>` denies with `?`. Such an error is a refusal, not a
/// failure: the client gets the reply under every failure policy, and nothing is logged at error level.
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
/// [`with_reply`](Self::with_reply) adds a reply to an error that says why. A reply that is carried follows the rules of one that is
/// returned: once the response headers were sent, the stream is reset instead. A TCP connection is closed. Callbacks that cannot
/// refuse a stream only log the error: those of root contexts, `on_log`, `on_done`, `on_delete`, the metadata callbacks and
/// `on_foreign_function`.
///
/// An error that carries no reply deserves a [`status`](Self::status), which the closed policy sends.
pub struct Error(
    /// One pointer: a `Result` stays in registers, and a callback that does not fail pays nothing for its errors.
    Box<Inner>,
);

struct Inner {
    kind: ErrorKind,
    /// What the client gets for it.
    status: u16,
    why: Why,
}

enum Why {
    /// A host function refused.
    Host { function: &'static str, status: Status },
    /// The SDK refused before the host was asked.
    Refused(&'static str),
    /// The filter's own, or a library's.
    Message(Box<str>),
    /// A denial. A trait object, so that filters without such errors contain no code for them.
    Denied(Box<dyn Denied>),
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
    #[must_use = "an error does nothing unless the callback returns it"]
    pub fn other(message: impl fmt::Display) -> Self {
        Self::message(ErrorKind::Other, message)
    }

    #[cold]
    pub(crate) fn message(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self::text(kind, message.to_string().into_boxed_str())
    }

    /// The same for a text that is there already.
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

    /// The same for an error that deserves another status than 500.
    #[cold]
    #[inline(never)]
    pub(crate) fn deserving(status: u16, kind: ErrorKind, why: &'static str) -> Self {
        Self::new(kind, status, Why::Refused(why))
    }

    /// The status that the client gets: that of the reply it carries; otherwise the one that the closed failure policy answers with.
    ///
    /// | Error | Status |
    /// |---|---|
    /// | a request body above the limit of [`request_body`](crate::Exchange::request_body) | 413 |
    /// | a response body above the limit of [`response_body`](crate::Exchange::response_body), while the response headers are held | 502 |
    /// | [`Callout`](ErrorKind::Callout): another service could not be asked | 503 |
    /// | all others | 500 |
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The level at which a failure is logged: one that clients can cause as often as they like is no error of the filter.
    #[inline]
    pub(crate) fn level(&self) -> LogLevel {
        match self.0.kind {
            ErrorKind::EarlyResponse => LogLevel::Debug,
            _ if self.0.status < 500 => LogLevel::Info,
            _ => LogLevel::Error,
        }
    }

    /// Logs that a callback has failed with this error, and what follows from it: text, and the status of the response, which 0 leaves out.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, level: LogLevel, callback: Callback, context_id: u32, consequence: &str, status: u32) {
        let mut line = Line::of(callback, context_id);
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
        Self(Box::new(Inner { kind, status, why }))
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
        Self::host_as(function, status, kind)
    }

    /// The same from a function whose statuses mean something of their own.
    #[cold]
    pub(crate) fn host_as(function: &'static str, status: Status, kind: ErrorKind) -> Self {
        Self::new(kind, 500, Why::Host { function, status })
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The host function that refused, for example `proxy_add_header_map_value`; `None` if the host was not asked.
    pub fn host_function(&self) -> Option<&'static str> {
        match &self.0.why {
            Why::Host { function, .. } => Some(function),
            Why::Denied(denied) => denied.cause().and_then(Self::host_function),
            _ => None,
        }
    }

    /// Writes what `Display` would, without the formatting machinery.
    pub(crate) fn write_to(&self, line: &mut Line) {
        match &self.0.why {
            Why::Host { function, status } => {
                line.push(function);
                line.push(" answered ");
                if let Some(name) = status.name() {
                    line.push(name);
                } else {
                    line.push("status ");
                    line.push_number(status.raw());
                }
                line.push(self.0.kind.advice());
            }
            Why::Refused(why) => line.push(why),
            Why::Message(message) => line.push(message),
            Why::Denied(denied) => denied.write_to(line),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.why {
            Why::Host { function, status } => match status.name() {
                Some(name) => write!(f, "{function} answered {name}{}", self.0.kind.advice()),
                None => write!(f, "{function} answered {status}{}", self.0.kind.advice()),
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
    /// The reply, until it is sent.
    fn reply(&self) -> Option<&LocalReply>;
    /// The error that the reply was added to.
    fn cause(&self) -> Option<&Error>;
    /// Sends the reply, and logs the cause at debug level.
    fn carry_out(&mut self, callback: Callback, context_id: u32);
    /// Writes why, without the formatting machinery.
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

/// What a denial without a cause is logged as, where it cannot be sent.
const DENIED: &str = "denied with status ";

impl Error {
    /// The same error as a denial: the client gets `reply` under every failure policy, and the error is logged at debug level.
    ///
    /// A reply that the error carried already is replaced.
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
        // An error without a reply, or the denial that the new reply takes the place of.
        let denied = WithReply { reply: Some(reply), cause: Some(self) };
        Self::new(kind, status, Why::Denied(Box::new(denied)))
    }

    /// The reply that the error carries; `None` for a failure, which the failure policy decides about.
    pub fn reply(&self) -> Option<&LocalReply> {
        match &self.0.why {
            Why::Denied(denied) => denied.reply(),
            _ => None,
        }
    }

    /// Whether the error carries a reply.
    #[inline]
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self.0.why, Why::Denied(_))
    }

    /// What denies, if the error carries a reply.
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

/// Sends a reply; resets the HTTP stream if the host refuses it.
#[cold]
#[inline(never)]
pub(crate) fn send_reply(reply: LocalReply, callback: Callback, context_id: u32) {
    let Err(status) = reply.send() else { return };
    // Another reply would be refused as well.
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
        assert_eq!(error.to_string(), "proxy_get_property answered NotFound: it does not exist here");
        assert_eq!(String::from_utf8_lossy(line.as_bytes()), error.to_string());
    }

    #[test]
    fn an_error_is_as_wide_as_a_pointer() {
        assert_eq!((size_of::<Error>(), size_of::<Result<()>>()), (size_of::<usize>(), size_of::<usize>()));
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
