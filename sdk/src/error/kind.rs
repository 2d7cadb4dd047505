//! [`ErrorKind`]: the part of an error that a filter can match on.

use crate::abi::status::Status;

/// The kinds of [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not available in this phase: request headers after they were forwarded, for example.
    WrongPhase,
    /// The response began before the request had ended, so the rest of the request is not
    /// available: see [`Exchange`](crate::Exchange#early-responses).
    EarlyResponse,
    /// The response makes the connection a tunnel, which has no body: see
    /// [`Exchange`](crate::Exchange#upgrades).
    Tunnel,
    /// The field, property, key, queue or metric does not exist.
    NotFound,
    /// A name or value is not valid HTTP ([`HeaderMap`](crate::HeaderMap) has the rules), or an
    /// argument is out of range.
    InvalidInput,
    /// A field that must have one value has several: see
    /// [`get_single`](crate::HeaderMap::get_single).
    Repeated,
    /// More header pairs or bytes than hosts accept from a module (1,024 pairs, 1 MiB).
    TooLarge,
    /// The edit would make `content-length` wrong.
    ContentLength,
    /// The host returned bytes that cannot be decoded, or a message contradicts itself.
    Malformed,
    /// The timeout has elapsed.
    Timeout,
    /// Other threads changed a shared value during every attempt to update it.
    Conflict,
    /// The host does not have this function, or its configuration restricts it.
    Unimplemented,
    /// The configuration is not valid.
    Configuration,
    /// A call to another service failed: [`CalloutError`](crate::callout::CalloutError) has the
    /// details.
    Callout,
    /// The filter denies: the error carries the reply for the client, see
    /// [`Error::reply`](crate::Error::reply).
    Denied,
    /// The host returned another error status.
    Refused(Status),
    /// The filter's own error.
    Other,
}

impl ErrorKind {
    /// Returns what to do about a host's refusal.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::WrongPhase => ": not available in this phase, or a bad argument",
            Self::NotFound => ": it does not exist here",
            Self::Unimplemented => ": this host does not have the function",
            Self::Refused(Status::INTERNAL_FAILURE) => ": the host failed, or restricts the capability",
            Self::Refused(Status::INVALID_MEMORY_ACCESS) => ": the module is out of memory",
            _ => "",
        }
    }
}
