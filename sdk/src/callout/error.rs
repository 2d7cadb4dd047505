//! [`CalloutError`]: why a call got no response, and whether that is an outage.

use crate::error::Error;
use crate::error::kind::ErrorKind;
use core::fmt;

/// Why an HTTP call got no response.
///
/// The two variants are what a filter decides on, so that a `match` names both:
///
/// * [`Outage`](Self::Outage): the service is down. A filter may have a policy for that, "allow" for example.
/// * [`Refused`](Self::Refused): the call was never made. A client can provoke that, with a header that makes the call too large for
///   example. Never treat it as an outage: every client could choose the policy for outages.
///
/// A response is not an error, whatever its status. [`outage_for_status`](crate::callout::HttpCallResponse::outage_for_status) turns a response with
/// a status of 500 to 599 into an outage, which leaves success and refusals:
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
/// | Seen | Is | Outage |
/// |---|---|---|
/// | the call is too large, or has a field that is not valid | `Refused`, kind [`TooLarge`](ErrorKind::TooLarge) or [`InvalidInput`](ErrorKind::InvalidInput) | no |
/// | the host does not let this module make calls | `Refused`, kind [`Unimplemented`](ErrorKind::Unimplemented) or [`Refused`](ErrorKind::Refused) | no |
/// | a response with a status below 500 | a response | no |
/// | a response with a status of 500 to 599 | a response; [`Outage::Status`] after `outage_for_status` | yes |
/// | the cluster is not in the host's configuration | [`Outage::UnknownCluster`] | yes |
/// | no host of the cluster can be used, or a limit of the cluster is reached | [`Outage::NoHealthyUpstream`] | yes |
/// | no response in time: Envoy's own 504 | [`Outage::Timeout`] | yes |
/// | no connection, or it was closed before a response: Envoy's own 503 | [`Outage::Unavailable`] | yes |
/// | the connection was closed within the response, or the response is larger than Envoy's limit | [`Outage::Reset`] | yes |
///
/// Envoy's own 503 and 504 are told from those of a service by `x-envoy-upstream-service-time`, which Envoy adds to what came from a
/// service.
///
/// `response?` in a completion makes a `Refused` the [`Error`] inside, and an `Outage` an error of kind [`Callout`](ErrorKind::Callout).
/// The failure policy of the stream applies to both.
///
/// Two things no host can tell. A service that closes the connection, or answers with 500 or 501, because of what the client has sent
/// looks like a service that is down: give it no method and no more bytes of the client's than it needs.
#[derive(Debug)]
// Not `#[non_exhaustive]`: a match on an outage policy names both cases, and no wildcard joins them.
pub enum CalloutError {
    /// The call was not made, or its response cannot be read, for the reason inside. Not an outage: a client can provoke it.
    Refused(Error),
    /// The service is down. The host's configuration, the network or the service is at fault, and not what the client has sent.
    Outage(Outage),
}

/// In what way a service is down: see [`CalloutError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// The host has no cluster of this name. This is a mistake in a configuration, or the cluster is not there yet.
    UnknownCluster,
    /// The cluster has no host that can be used, or a limit of the cluster is reached.
    NoHealthyUpstream,
    /// There was no response in time.
    Timeout,
    /// The service could not be reached, or closed the connection without a response: the host's words for it.
    Unavailable(Box<str>),
    /// The response was cut off, or is too large for the host.
    Reset,
    /// The service responded with this status, 500 to 599: see [`outage_for_status`](crate::callout::HttpCallResponse::outage_for_status).
    Status(u16),
}

impl CalloutError {
    /// Whether the service is down. A call that was not made is no outage, because a client can provoke it.
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

/// Whether a response with this status says that the service is down.
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
    /// What there is to say about an outage that brings no words of its own.
    const fn text(&self) -> &'static str {
        match self {
            Self::UnknownCluster => "the call failed: the host has no such cluster",
            Self::NoHealthyUpstream => "the call failed: no healthy upstream",
            Self::Timeout => "the call failed: no answer in time",
            Self::Unavailable(_) => "the call failed: the service could not be reached",
            Self::Reset => "the call failed: the answer was cut off",
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
    fn a_status_of_500_to_599_is_an_outage_and_no_other_is() {
        for status in 0..=u16::MAX {
            assert_eq!(is_outage(status), (500..600).contains(&status), "{status}");
        }
    }

    #[test]
    fn a_call_that_was_not_made_is_no_outage_whatever_the_reason() {
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
    fn every_outage_is_one_and_says_why() {
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
