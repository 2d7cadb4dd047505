//! A pending call of the module, in words.

use std::time::Duration;

/// A call that is pending.
pub(super) struct PendingCall {
    /// The context that made it: a stream's, or a root context.
    pub(super) context: u32,
    /// What it is, and the service it calls.
    pub(super) what: String,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    /// When its next callback is due, as far as that is known.
    pub(super) due: Option<Duration>,
}
