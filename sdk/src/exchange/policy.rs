//! The failure policy of a filter that is one async function, from its configuration.

use crate::error::policy::FailurePolicy;

/// What `policy` says for this configuration. Streams of a plugin that was not configured, which no
/// host creates, are refused.
pub fn policy_of<T>(config: Option<&T>, policy: impl FnOnce(&T) -> FailurePolicy) -> FailurePolicy {
    config.map_or(FailurePolicy::Closed, policy)
}
