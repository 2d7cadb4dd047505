//! [`FailurePolicy`]: what happens to a stream when one of its callbacks fails.

/// What happens to a stream when one of its callbacks returns an `Err`. A reply that the error
/// carries is sent under every policy.
///
/// The error is always logged with the callback and the context id, and other streams are
/// unaffected. In `on_done`, `on_log` and `on_delete` the stream has ended, so the error is only
/// logged.
///
/// With the feature `json`, a configuration may contain the policy, as `"closed"` or `"open"`: see
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
    /// Refuses the stream with a local reply that has the error's [status](crate::Error::status)
    /// (500 unless it says otherwise). If the response headers were already sent, the stream is
    /// reset. A TCP connection is closed.
    #[default]
    Closed,
    /// Treats the callback as if it had returned `Continue`.
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
