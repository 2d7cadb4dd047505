//! [`ErrorKind`]: what of an error a filter can match on.

use crate::abi::status::Status;

/// The kinds of [`Error`](crate::Error).
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
    /// The filter denies: the error carries the reply that the client gets, see
    /// [`Error::reply`](crate::Error::reply).
    Denied,
    /// The host refused for another reason.
    Refused(Status),
    /// The filter's own error.
    Other,
}

impl ErrorKind {
    /// What to do about a host's refusal.
    pub(super) const fn advice(self) -> &'static str {
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
