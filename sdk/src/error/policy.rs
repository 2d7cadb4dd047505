//! [`FailurePolicy`]: what happens to a stream whose callback failed.

/// What happens to a stream when one of its callbacks returns an `Err`, unless the error carries a reply: that is sent under every policy.
///
/// The error is logged with the callback and the context id in either case, and the other streams of the module are not
/// touched. In `on_done`, `on_log` and `on_delete` the stream is over, and there is only the log.
///
/// With the feature `json`, a configuration may contain it, as `"closed"` or `"open"`: see
/// [`#[filter(failure_policy = …)]`](macro@crate::filter).
///
/// ```
/// use proxy_filter::prelude::*;
///
/// struct Measure;
/// impl Context for Measure {
///     fn failure_policy(&self) -> FailurePolicy {
///         FailurePolicy::Open // measuring is never a reason to refuse a request
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a failure policy does nothing unless `failure_policy` returns it"]
pub enum FailurePolicy {
    /// The stream is refused: a local reply with the error's [status](crate::Error::status), 500 usually, while that is possible; a reset after the
    /// response headers were sent. A TCP connection is closed.
    #[default]
    Closed,
    /// The stream goes on as if the callback had returned `Continue`.
    Open,
}

#[cfg(feature = "json")]
impl<'de> serde::Deserialize<'de> for FailurePolicy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "closed" => Ok(Self::Closed),
            "open" => Ok(Self::Open),
            other => Err(serde::de::Error::unknown_variant(other, &["closed", "open"])),
        }
    }
}
