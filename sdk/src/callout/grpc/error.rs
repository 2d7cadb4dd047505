use crate::abi::status::Status;
use crate::callout::grpc::status::{GrpcCode, GrpcStatus};
use crate::error::Error;
use crate::error::kind::ErrorKind;
use crate::log::line::Line;
use core::fmt;

/// Why there is no answer to a gRPC call, or why a gRPC stream ended.
///
/// `answer?` in a completion makes it an [`Error`] of kind [`Callout`](ErrorKind::Callout), for
/// which the stream's failure policy applies.
///
/// The variants are what a filter decides on, so that a `match` names all of them. Only
/// [`Outage`](Self::Outage) says that the service is down; a client can provoke each of the others,
/// so none of them is a case for a policy such as "allow on outage":
///
/// ```
/// use proxy_filter::prelude::*;
///
/// fn may_pass(response: Result<(), GrpcError>, allow_on_outage: bool) -> Result<bool> {
///     match response {
///         Ok(()) => Ok(true),
///         Err(GrpcError::Outage(_)) => Ok(allow_on_outage),
///         Err(GrpcError::Status(_)) => Ok(false),
///         Err(error @ (GrpcError::Refused(_) | GrpcError::Malformed(_))) => Err(error.into()),
///     }
/// }
/// ```
///
/// | Seen | Is | Outage |
/// |---|---|---|
/// | the call is too large or has a field that is not valid, or the host has no gRPC | `Refused` | no |
/// | the service responded with something that is not the expected message | `Malformed` | no |
/// | a status other than OK, `UNAVAILABLE` and `DEADLINE_EXCEEDED` | `Status` | no |
/// | the status `UNAVAILABLE` or `DEADLINE_EXCEEDED`: of the service, or of Envoy because there is no connection | [`GrpcOutage::Status`] | yes |
/// | the connection was closed within the response: Envoy's own words, with the status `INTERNAL` | [`GrpcOutage::Status`] | yes |
/// | no response in time: Envoy's own words | [`GrpcOutage::Timeout`] | yes |
/// | the cluster is not in the configuration, has no host that can be used or has reached a limit, or the configuration does not allow the module gRPC: Envoy answers all alike | [`GrpcOutage::NoUpstream`] | yes |
///
/// `INTERNAL` and `UNKNOWN` are refusals, because a client can provoke them: Envoy makes `INTERNAL`
/// of an HTTP 400 and `UNKNOWN` of 413, 431 and most others that come in the place of gRPC, and
/// gRPC servers answer messages that they cannot read with `INTERNAL`.
#[derive(Debug)]
// Not `#[non_exhaustive]`: a match on an outage policy names all cases, and no wildcard joins them.
pub enum GrpcError {
    /// The call was not made, or its response cannot be read, for the reason inside. Not an outage:
    /// a client can provoke it.
    Refused(Error),
    /// The response is not the message that was expected. Of a stream, that is its end: it has been
    /// cancelled. Not an outage.
    Malformed(Error),
    /// A status other than OK, of a service that is not down.
    Status(GrpcStatus),
    /// The service is down. The host's configuration, the network or the service is at fault, and
    /// not what the client has sent.
    Outage(GrpcOutage),
}

/// In what way a gRPC service is down: see [`GrpcError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrpcOutage {
    /// There is no such cluster, or no host in it that can be used.
    NoUpstream,
    /// There was no response in time.
    Timeout,
    /// The status [`UNAVAILABLE`](GrpcCode::UNAVAILABLE) or
    /// [`DEADLINE_EXCEEDED`](GrpcCode::DEADLINE_EXCEEDED), or Envoy's for a response that was cut
    /// off.
    Status(GrpcStatus),
}

/// What Envoy's messages about its own timeouts end with. What a server says ends differently.
const TIMED_OUT: [&str; 2] = ["{response_timeout}", "response_timeout"];
/// What Envoy's message begins with when the connection was closed within a response. Its code is
/// `INTERNAL`.
const CUT_OFF: &str = "upstream_reset_after_response_started";

impl GrpcError {
    /// What a host's refusal to call means.
    #[inline]
    pub(crate) fn not_started(function: &'static str, status: Status) -> Self {
        match status {
            Status::INTERNAL_FAILURE => Self::Outage(GrpcOutage::NoUpstream),
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
            return Self::Outage(GrpcOutage::Timeout);
        }
        let is_cut_off = !status.is_from_server() && status.message().starts_with(CUT_OFF);
        if status.code().is_outage() || is_cut_off {
            Self::Outage(GrpcOutage::Status(status))
        } else {
            Self::Status(status)
        }
    }

    /// Whether the service is down. What a client can provoke is no outage.
    ///
    /// ```
    /// use proxy_filter::grpc::{GrpcError, GrpcOutage};
    /// assert!(GrpcError::Outage(GrpcOutage::Timeout).is_outage());
    /// ```
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }

    /// The status, unless there is none: the call was not made, or there was no response.
    pub const fn status(&self) -> Option<&GrpcStatus> {
        match self {
            Self::Status(status) | Self::Outage(GrpcOutage::Status(status)) => Some(status),
            _ => None,
        }
    }

    /// What a root context that is gone leaves to those who wait for what it started.
    #[cold]
    pub(crate) fn abandoned() -> Self {
        const UNAVAILABLE: u32 = 14;
        Self::ended(UNAVAILABLE, b"the root context that started it is gone")
    }

    /// The code that says the most about it: that of the status, and for what has none
    /// [`UNAVAILABLE`](GrpcCode::UNAVAILABLE), [`DEADLINE_EXCEEDED`](GrpcCode::DEADLINE_EXCEEDED)
    /// or [`INTERNAL`](GrpcCode::INTERNAL).
    ///
    /// ```
    /// use proxy_filter::grpc::{GrpcCode, GrpcError, GrpcOutage};
    /// fn is_missing(error: &GrpcError) -> bool {
    ///     error.code() == GrpcCode::NOT_FOUND
    /// }
    /// assert_eq!(GrpcError::Outage(GrpcOutage::NoUpstream).code(), GrpcCode::UNAVAILABLE);
    /// # assert!(!is_missing(&GrpcError::Outage(GrpcOutage::Timeout)));
    /// ```
    pub const fn code(&self) -> GrpcCode {
        match self {
            Self::Refused(_) | Self::Malformed(_) => GrpcCode::INTERNAL,
            Self::Outage(GrpcOutage::NoUpstream) => GrpcCode::UNAVAILABLE,
            Self::Outage(GrpcOutage::Timeout) => GrpcCode::DEADLINE_EXCEEDED,
            Self::Status(status) | Self::Outage(GrpcOutage::Status(status)) => status.code(),
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
            Self::Outage(outage) => outage.text(),
            Self::Malformed(error) => {
                let mut line = Line::new();
                error.write_to(&mut line);
                ["the gRPC call failed: malformed answer: ", &String::from_utf8_lossy(line.as_bytes())].concat()
            }
            Self::Status(status) => failed(status),
        }
    }
}

impl GrpcOutage {
    #[inline]
    fn text(&self) -> String {
        match self {
            Self::NoUpstream => NO_UPSTREAM.into(),
            Self::Timeout => TIMEOUT.into(),
            Self::Status(status) => failed(status),
        }
    }
}

#[inline]
fn failed(status: &GrpcStatus) -> String {
    ["the gRPC call failed: ", &status.text()].concat()
}

impl fmt::Display for GrpcOutage {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl core::error::Error for GrpcOutage {}

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
            assert!(matches!(error, GrpcError::Outage(GrpcOutage::Timeout)), "{error}");
        }
        for (code, message) in [
            (4, "too slow{via_upstream}"),
            (13, "response_timeout{via_upstream}"),
            (14, "x{response_timeout}{via_upstream}"),
        ] {
            let error = GrpcError::ended(code, message.as_bytes());
            assert_eq!(error.status().unwrap().code().raw(), code, "{error}");
        }
    }

    #[test]
    fn only_unavailable_and_deadline_exceeded_are_outages() {
        for code in (0..=200).chain([u32::MAX]) {
            for message in ["", "not you{via_upstream}", "upstream connect error"] {
                let error = GrpcError::ended(code, message.as_bytes());
                assert_eq!(error.is_outage(), [4, 14].contains(&code), "{error:?}");
                assert_eq!(matches!(error, GrpcError::Status(_)), !error.is_outage(), "{error:?}");
                assert_eq!(error.code().is_outage(), error.is_outage(), "{error:?}");
            }
        }
    }

    #[test]
    fn a_response_that_was_cut_off_is_an_outage_unless_a_server_says_so() {
        let cut_off = GrpcError::ended(13, b"upstream_reset_after_response_started{remote_reset}");
        assert!(cut_off.is_outage(), "{cut_off:?}");
        let told = GrpcError::ended(13, b"upstream_reset_after_response_started{via_upstream}");
        assert!(!told.is_outage(), "{told:?}");
    }

    #[test]
    fn a_call_that_was_not_made_is_no_outage_unless_there_is_nobody_to_call() {
        for status in (1..=20).filter_map(Status::from_raw) {
            let error = GrpcError::not_started("proxy_grpc_call", status);
            assert_eq!(error.is_outage(), status == Status::INTERNAL_FAILURE, "{error:?}");
        }
        for error in [
            GrpcError::input(ErrorKind::TooLarge, "too large"),
            GrpcError::Refused(Error::other("x")),
            GrpcError::Malformed(Error::other("x")),
        ] {
            assert!(!error.is_outage() && error.status().is_none(), "{error:?}");
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
