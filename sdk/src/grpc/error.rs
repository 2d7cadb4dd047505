use super::status::{GrpcCode, GrpcStatus};
use crate::abi::Status;
use crate::error::{Error, ErrorKind};
use crate::runtime::line::Line;
use core::fmt;

/// Why there is no answer to a gRPC call, or why a gRPC stream ended.
///
/// `answer?` in a completion makes it an [`Error`] of kind [`Callout`](ErrorKind::Callout), for which the stream's failure policy applies.
///
/// | | Envoy |
/// |---|---|
/// | [`Refused`](Self::Refused) | the call was not made: it was built wrong, or the host has no gRPC |
/// | [`NoUpstream`](Self::NoUpstream) | the cluster is not in the configuration, or has no host that could be asked, or its limits are exhausted, or the configuration does not allow the module gRPC: Envoy answers all alike |
/// | [`Timeout`](Self::Timeout) | Envoy's own words: there was no answer in time |
/// | [`Malformed`](Self::Malformed) | the service answered with something that is not the expected message |
/// | [`Status`](Self::Status) | the service answered with a status other than OK, or Envoy did because the service could not be reached or was cut off |
#[derive(Debug)]
#[non_exhaustive]
pub enum GrpcError {
    /// The call was not made, for the reason inside.
    Refused(Error),
    /// There is nobody to ask: no such cluster, or no host in it.
    NoUpstream,
    /// There was no answer in time.
    Timeout,
    /// The answer is not the message that was expected. Of a stream, that is its end: it has been cancelled.
    Malformed(Error),
    /// A status other than OK.
    Status(GrpcStatus),
}

/// What Envoy's messages about its own timeouts end with. What a server says ends differently.
const TIMED_OUT: [&str; 2] = ["{response_timeout}", "response_timeout"];

impl GrpcError {
    /// What a host's refusal to call means.
    #[inline]
    pub(crate) fn not_started(function: &'static str, status: Status) -> Self {
        match status {
            Status::INTERNAL_FAILURE => Self::NoUpstream,
            status => Self::Refused(Error::host(function, status)),
        }
    }

    #[inline]
    pub(crate) fn input(kind: ErrorKind, why: &'static str) -> Self {
        Self::Refused(Error::refused(kind, why))
    }

    /// What the host tells of the end.
    #[inline]
    pub(crate) fn ended(code: u32, message: &[u8]) -> Self {
        let status = GrpcStatus::new(code, message);
        let [after, alone] = TIMED_OUT;
        if !status.is_from_server() && (status.message().ends_with(after) || status.message() == alone) {
            return Self::Timeout;
        }
        Self::Status(status)
    }

    /// The code that says the most about it: that of the status, and for what has none [`UNAVAILABLE`](GrpcCode::UNAVAILABLE),
    /// [`DEADLINE_EXCEEDED`](GrpcCode::DEADLINE_EXCEEDED) or [`INTERNAL`](GrpcCode::INTERNAL).
    ///
    /// ```
    /// use proxy_filter::{GrpcCode, GrpcError};
    /// fn is_missing(error: &GrpcError) -> bool {
    ///     error.code() == GrpcCode::NOT_FOUND
    /// }
    /// assert_eq!(GrpcError::NoUpstream.code(), GrpcCode::UNAVAILABLE);
    /// # assert!(!is_missing(&GrpcError::Timeout));
    /// ```
    pub const fn code(&self) -> GrpcCode {
        match self {
            Self::Refused(_) | Self::Malformed(_) => GrpcCode::INTERNAL,
            Self::NoUpstream => GrpcCode::UNAVAILABLE,
            Self::Timeout => GrpcCode::DEADLINE_EXCEEDED,
            Self::Status(status) => status.code(),
        }
    }
}

const NO_UPSTREAM: &str = "the gRPC call failed: no such cluster, or no healthy upstream";
const TIMEOUT: &str = "the gRPC call failed: no answer in time";

impl fmt::Display for GrpcError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => fmt::Display::fmt(error, f),
            other => f.write_str(&other.text()),
        }
    }
}

impl GrpcError {
    /// What there is to say, put together without the formatting machinery.
    #[inline]
    fn text(&self) -> String {
        match self {
            Self::Refused(_) => String::new(),
            Self::NoUpstream => NO_UPSTREAM.into(),
            Self::Timeout => TIMEOUT.into(),
            Self::Malformed(error) => {
                let mut line = Line::new();
                error.write_to(&mut line);
                ["the gRPC call failed: malformed answer: ", &String::from_utf8_lossy(line.as_bytes())].concat()
            }
            Self::Status(status) => ["the gRPC call failed: ", &status.text()].concat(),
        }
    }
}

impl core::error::Error for GrpcError {}

impl From<GrpcError> for Error {
    #[cold]
    #[inline]
    fn from(error: GrpcError) -> Self {
        match error {
            GrpcError::Refused(error) => error,
            other => Self::text(ErrorKind::Callout, other.text().into_boxed_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_timeouts_are_told_from_what_a_server_says() {
        let timeouts = [(14, "upstream request timeout{response_timeout}"), (13, "response_timeout")];
        for (code, message) in timeouts {
            let error = GrpcError::ended(code, message.as_bytes());
            assert!(matches!(error, GrpcError::Timeout), "{error}");
        }
        for (code, message) in [
            (4, "too slow{via_upstream}"),
            (13, "response_timeout{via_upstream}"),
            (14, "x{response_timeout}{via_upstream}"),
        ] {
            let GrpcError::Status(status) = GrpcError::ended(code, message.as_bytes()) else { panic!("{message}") };
            assert_eq!(status.code().raw(), code);
        }
    }

    #[test]
    fn an_error_says_what_happened() {
        let error = Error::from(GrpcError::ended(7, b"not you{via_upstream}"));
        assert_eq!(error.to_string(), "the gRPC call failed: PERMISSION_DENIED (7): not you");
        assert_eq!(error.kind(), ErrorKind::Callout);
        assert_eq!(GrpcError::ended(14, b"response_timeout").code(), GrpcCode::DEADLINE_EXCEEDED);
    }
}
