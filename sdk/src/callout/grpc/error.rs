use crate::abi::status::Status;
use crate::callout::grpc::status::{GrpcCode, GrpcStatus};
use crate::error::Error;
use crate::error::kind::ErrorKind;
use crate::log::line::Line;
use core::fmt;

/// Why a gRPC call has no response, or why a gRPC stream ended.
///
/// `answer?` in a completion makes it an [`Error`] of kind [`Callout`](ErrorKind::Callout), for
/// which the stream's failure policy applies.
///
/// The variants are the cases that a filter decides on, so a `match` names all of them. Only
/// [`Outage`](Self::Outage) means that the service is down. A client can provoke each of the
/// others, so do not apply a policy such as "allow on outage" to them:
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
/// | the connection was closed within the response: Envoy's own message, with the status `INTERNAL` | [`GrpcOutage::Status`] | yes |
/// | no response in time: Envoy's own words | [`GrpcOutage::Timeout`] | yes |
/// | the cluster is not in the configuration, has no host that can be used or has reached a limit, or the configuration does not allow gRPC to the module: Envoy reports the same error for all | [`GrpcOutage::NoUpstream`] | yes |
///
/// `INTERNAL` and `UNKNOWN` are refusals, because a client can provoke them. Envoy converts an HTTP
/// 400 that is not gRPC to `INTERNAL`, and 413, 431 and most other statuses to `UNKNOWN`. gRPC
/// servers respond with `INTERNAL` to messages that they cannot read.
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
    /// The host has no such cluster, or the cluster has no host that can be used.
    NoUpstream,
    /// There was no response in time.
    Timeout,
    /// The status [`UNAVAILABLE`](GrpcCode::UNAVAILABLE) or
    /// [`DEADLINE_EXCEEDED`](GrpcCode::DEADLINE_EXCEEDED), or Envoy's for a response that was cut
    /// off.
    Status(GrpcStatus),
}

/// How Envoy's messages about its own timeouts end. Messages of a server end differently.
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

    /// Converts the status that the host reports at the end of a call or stream.
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

    /// Returns the status, or `None` if the call was not made or got no response.
    pub const fn status(&self) -> Option<&GrpcStatus> {
        match self {
            Self::Status(status) | Self::Outage(GrpcOutage::Status(status)) => Some(status),
            _ => None,
        }
    }

    /// The error of a callout that was started on a root context that was then deleted.
    #[cold]
    pub(crate) fn abandoned() -> Self {
        const UNAVAILABLE: u32 = 14;
        Self::ended(UNAVAILABLE, b"the root context that started it was deleted")
    }

    /// Returns the most specific code: the code of the status, or else
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
const TIMEOUT: &str = "the gRPC call failed: no response in time";

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
    /// Builds the message without the formatting machinery, which would make the module larger.
    #[inline]
    fn text(&self) -> String {
        match self {
            Self::Refused(_) => String::new(),
            Self::Outage(outage) => outage.text(),
            Self::Malformed(error) => {
                let mut line = Line::new();
                error.write_to(&mut line);
                ["the gRPC call failed: malformed response: ", &String::from_utf8_lossy(line.as_bytes())].concat()
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
    fn timeouts_of_envoy_differ_from_messages_of_a_server() {
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
    fn a_cut_off_response_is_an_outage_unless_a_server_sent_the_status() {
        let cut_off = GrpcError::ended(13, b"upstream_reset_after_response_started{remote_reset}");
        assert!(cut_off.is_outage(), "{cut_off:?}");
        let told = GrpcError::ended(13, b"upstream_reset_after_response_started{via_upstream}");
        assert!(!told.is_outage(), "{told:?}");
    }

    #[test]
    fn a_call_that_was_not_made_is_an_outage_only_without_an_upstream() {
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
    fn an_error_reports_its_cause() {
        let error = Error::from(GrpcError::ended(7, b"not you{via_upstream}"));
        assert_eq!(error.to_string(), "the gRPC call failed: PERMISSION_DENIED (7): not you");
        assert_eq!(error.kind(), ErrorKind::Callout);
        assert_eq!(GrpcError::ended(14, b"response_timeout").code(), GrpcCode::DEADLINE_EXCEEDED);
    }
}
