//! A call of the module that is under way, in words.

use std::time::Duration;

/// A call that is under way.
pub(super) struct UnderWay {
    /// The context that made it: a stream's, or a root context.
    pub(super) context: u32,
    /// What it is, and whom it asks.
    pub(super) what: String,
    pub(super) made: Duration,
    pub(super) timeout: Option<Duration>,
    /// When the module is told of something next, as far as that is known.
    pub(super) due: Option<Duration>,
}
