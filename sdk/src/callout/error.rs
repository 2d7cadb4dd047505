//! [`CalloutError`]: why a call got no response, and whether that is an outage.

use crate::error::Error;
use crate::error::kind::ErrorKind;
use core::fmt;

/// Why an HTTP call got no response.
///
/// The two variants are what a filter decides on, so that a `match` names both:
///
/// * [`Outage`](Self::Outage): the service is down. A filter may have a policy for outages, such as
///   "allow".
/// * [`Refused`](Self::Refused): the call was not made. A client can provoke this, for example with
///   a header that makes the call too large. Never treat it as an outage: any client could then
///   choose the outage policy.
///
/// A response is not an error, whatever its status.
/// [`outage_for_status`](crate::callout::HttpCallResponse::outage_for_status) turns a response with
/// a status of 500 to 599 into an outage. The remaining cases are success and denial by the
/// service:
///
/// ```
/// use proxy_filter::prelude::*;
/// use proxy_filter::callout::HttpCallResponse;
///
/// # async fn decide(token: &HeaderValue, allow_on_outage: bool) -> Result<bool> {
/// let call = HttpCall::get("authz", "/check").header("authorization", token);
/// match call.await.and_then(HttpCallResponse::outage_for_status) {
///     Ok(response) => Ok(response.status() == 200), // 401, 403, 413, 431 …: the service refuses
///     Err(CalloutError::Outage(why)) => {
///         log::debug!("the authorization service is down: {why}");
///         Ok(allow_on_outage)
///     }
///     Err(CalloutError::Refused(error)) => Err(error), // the failure policy decides
/// }
/// # }
/// ```
///
/// | Event | Result | Outage |
/// |---|---|---|
/// | the call is too large, or has a field that is not valid | `Refused`, kind [`TooLarge`](ErrorKind::TooLarge) or [`InvalidInput`](ErrorKind::InvalidInput) | no |
/// | the host does not allow this module to make calls | `Refused`, kind [`Unimplemented`](ErrorKind::Unimplemented) or [`Refused`](ErrorKind::Refused) | no |
/// | a response with a status below 500 | a response | no |
/// | a response with a status of 500 to 599 | a response; [`Outage::Status`] after `outage_for_status` | yes |
/// | the cluster is not in the host's configuration | [`Outage::UnknownCluster`] | yes |
/// | no host of the cluster can be used, or a limit of the cluster is reached | [`Outage::NoHealthyUpstream`] | yes |
/// | no response in time: Envoy's own 504 | [`Outage::Timeout`] | yes |
/// | no connection, or it was closed before a response: Envoy's own 503 | [`Outage::Unavailable`] | yes |
/// | the connection was closed within the response, or the response is larger than Envoy's limit | [`Outage::Reset`] | yes |
///
/// The SDK distinguishes Envoy's own 503 and 504 from those of a service by the header
/// `x-envoy-upstream-service-time`. Envoy adds that header to every response that a service sent.
///
/// In a completion, `response?` turns a `Refused` into the [`Error`] inside, and an `Outage` into
/// an error of kind [`Callout`](ErrorKind::Callout). The failure policy of the stream applies to
/// both.
///
/// The host cannot detect one kind of false outage. A client may send data that makes the service
/// close the connection, or respond with 500 or 501. This looks like a service that is down. Never
/// let the client choose the method of the call, and pass only the bytes that the service needs.
#[derive(Debug)]
// Not `#[non_exhaustive]`: a match on an outage policy names both cases, and needs no wildcard.
pub enum CalloutError {
    /// The call was not made, or its response cannot be read, for the reason inside. This is not an
    /// outage: a client can provoke it.
    Refused(Error),
    /// The service is down. The cause is the host's configuration, the network or the service, not
    /// the data that the client sent.
    Outage(Outage),
}

/// In what way a service is down: see [`CalloutError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// The host has no cluster of this name: a mistake in a configuration, or the cluster is not
    /// loaded yet.
    UnknownCluster,
    /// The cluster has no host that can be used, or a limit of the cluster is reached.
    NoHealthyUpstream,
    /// There was no response in time.
    Timeout,
    /// The service could not be reached, or closed the connection without a response. Contains the
    /// host's message.
    Unavailable(Box<str>),
    /// The response was cut off, or is too large for the host.
    Reset,
    /// The service sent a response with this status, 500 to 599. See
    /// [`outage_for_status`](crate::callout::HttpCallResponse::outage_for_status).
    Status(u16),
}

impl CalloutError {
    /// Returns whether the service is down. A call that was not made is not an outage, because a
    /// client can provoke it.
    ///
    /// ```
    /// use proxy_filter::{callout::{CalloutError, Outage}, Error};
    /// assert!(CalloutError::Outage(Outage::Timeout).is_outage());
    /// assert!(!CalloutError::Refused(Error::other("too large")).is_outage());
    /// ```
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }
}

/// Returns whether a response with this status means that the service is down.
pub(crate) const fn is_outage(status: u16) -> bool {
    matches!(status, 500..=599)
}

impl From<Outage> for CalloutError {
    #[inline]
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl fmt::Display for CalloutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => fmt::Display::fmt(error, f),
            Self::Outage(outage) => fmt::Display::fmt(outage, f),
        }
    }
}

impl fmt::Display for Outage {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => f.write_str(why),
            Self::Status(status) => write!(f, "{STATUS}{status}"),
            other => f.write_str(other.text()),
        }
    }
}

impl core::error::Error for CalloutError {}

impl core::error::Error for Outage {}

impl From<CalloutError> for Error {
    #[cold]
    #[inline]
    fn from(error: CalloutError) -> Self {
        match error {
            CalloutError::Refused(error) => error,
            CalloutError::Outage(outage) => outage.into(),
        }
    }
}

impl From<Outage> for Error {
    #[cold]
    #[inline]
    fn from(outage: Outage) -> Self {
        match outage {
            Outage::Unavailable(why) => Self::text(ErrorKind::Callout, why),
            Outage::Status(_) => Self::message(ErrorKind::Callout, outage),
            other => Self::refused(ErrorKind::Callout, other.text()),
        }
    }
}

/// What stands before the status of a response that is an outage.
const STATUS: &str = "the call failed: the service responded with ";

impl Outage {
    /// The message of an outage that has no message of its own.
    const fn text(&self) -> &'static str {
        match self {
            Self::UnknownCluster => "the call failed: the host has no such cluster",
            Self::NoHealthyUpstream => "the call failed: no healthy upstream",
            Self::Timeout => "the call failed: no response in time",
            Self::Unavailable(_) => "the call failed: the service could not be reached",
            Self::Reset => "the call failed: the response was cut off",
            Self::Status(_) => STATUS,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::callout::error::{CalloutError, Outage, is_outage};
    use crate::error::Error;
    use crate::error::kind::ErrorKind;

    #[test]
    fn only_a_status_of_500_to_599_is_an_outage() {
        for status in 0..=u16::MAX {
            assert_eq!(is_outage(status), (500..600).contains(&status), "{status}");
        }
    }

    #[test]
    fn a_call_that_was_not_made_is_not_an_outage() {
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::TooLarge,
            ErrorKind::Unimplemented,
            ErrorKind::WrongPhase,
            ErrorKind::Malformed,
            ErrorKind::Other,
        ] {
            let error = CalloutError::Refused(Error::refused(kind, "why"));
            assert!(!error.is_outage(), "{error:?}");
            assert_eq!(Error::from(error).kind(), kind);
        }
    }

    #[test]
    fn every_outage_reports_its_reason() {
        for outage in [
            Outage::UnknownCluster,
            Outage::NoHealthyUpstream,
            Outage::Timeout,
            Outage::Unavailable("connection refused".into()),
            Outage::Reset,
            Outage::Status(502),
        ] {
            let text = outage.to_string();
            let error = CalloutError::from(outage);
            assert!(error.is_outage(), "{error:?}");
            assert_eq!(error.to_string(), text);
            let error = Error::from(error);
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Callout, text));
        }
        assert_eq!(Outage::Status(502).to_string(), "the call failed: the service responded with 502");
    }
}
