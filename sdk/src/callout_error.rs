//! [`CalloutError`]: why there is no answer to a call.

use crate::error::{Error, ErrorKind};
use core::fmt;

/// Why there is no answer to a call of another service.
///
/// `answer?` in a completion makes it an [`Error`] of kind [`Callout`](ErrorKind::Callout), for which the stream's failure policy applies.
/// An answer with a status such as 403 or 500 is an answer, not an error, as long as the service gave it.
///
/// | | Envoy |
/// |---|---|
/// | [`Refused`](Self::Refused) | the call was not made: it was built wrong, or the host does not let this module make calls |
/// | [`UnknownCluster`](Self::UnknownCluster) | the cluster is not in the configuration |
/// | [`NoHealthyUpstream`](Self::NoHealthyUpstream) | the cluster has no host that could be asked, or its limits are exhausted |
/// | [`Timeout`](Self::Timeout) | Envoy's own 504: there was no answer in time |
/// | [`Unavailable`](Self::Unavailable) | Envoy's own 503: the connection failed, or was closed before an answer |
/// | [`Reset`](Self::Reset) | the answer began and was cut off, or is larger than Envoy's limit |
///
/// Envoy's own 503 and 504 are told from those of a service by `x-envoy-upstream-service-time`, which Envoy adds to what came from a
/// service.
#[derive(Debug)]
#[non_exhaustive]
pub enum CalloutError {
    /// The call was not made, for the reason inside.
    Refused(Error),
    /// The host has no cluster of this name.
    UnknownCluster,
    /// The cluster has no host that could be asked.
    NoHealthyUpstream,
    /// There was no answer in time.
    Timeout,
    /// The service could not be reached, or closed the connection without an answer: the host's words for it.
    Unavailable(Box<str>),
    /// The answer was cut off, or is too large for the host.
    Reset,
}

impl fmt::Display for CalloutError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => fmt::Display::fmt(error, f),
            Self::Unavailable(why) => f.write_str(why),
            other => f.write_str(other.text()),
        }
    }
}

impl core::error::Error for CalloutError {}

impl From<CalloutError> for Error {
    #[cold]
    #[inline]
    fn from(error: CalloutError) -> Self {
        match error {
            CalloutError::Refused(error) => error,
            CalloutError::Unavailable(why) => Self::text(ErrorKind::Callout, why),
            other => Self::refused(ErrorKind::Callout, other.text()),
        }
    }
}

impl CalloutError {
    /// What there is to say about an error that brings no words of its own.
    const fn text(&self) -> &'static str {
        match self {
            Self::Refused(_) => "the call was refused",
            Self::UnknownCluster => "the call failed: the host has no such cluster",
            Self::NoHealthyUpstream => "the call failed: no healthy upstream",
            Self::Timeout => "the call failed: no answer in time",
            Self::Unavailable(_) => "the call failed: the service could not be reached",
            Self::Reset => "the call failed: the answer was cut off",
        }
    }
}
