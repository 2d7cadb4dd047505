//! The response of the authorization server about a token (RFC 7662, section 2.2).

use proxy_filter::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// The part of the response that is cached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Introspection {
    pub(crate) active: bool,
    /// Whether its scope contains the required word.
    pub(crate) covers: bool,
    /// The subject; empty if the server does not send one.
    pub(crate) subject: String,
}

/// The response. Only `active` must be valid: servers differ in the other members.
#[derive(Deserialize)]
struct Answer<'a> {
    active: bool,
    #[serde(borrow)]
    sub: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    exp: Option<&'a RawValue>,
}

impl Introspection {
    /// Reads the body of a response. Returns the result and the time for which it is valid, given
    /// the time since 1970.
    ///
    /// A `sub` or `scope` of an unexpected type counts as missing. A token is not active if its
    /// `exp` cannot be read, or if no header can contain its subject.
    pub(crate) fn read(body: &[u8], needed: Option<&str>, now: Duration) -> Result<(Self, Duration)> {
        let text = String::from_utf8_lossy(body);
        let answer: Answer<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))?; // a byte-order mark
        let subject = answer.sub.and_then(read::<String>).unwrap_or_default();
        match remaining(answer.exp, now) {
            Some(remaining) if answer.active && can_be_a_header(&subject) => {
                Ok((Self { active: true, covers: covers(answer.scope, needed), subject }, remaining))
            }
            // A token that is not active never becomes active again.
            _ => Ok((Self::default(), Duration::MAX)),
        }
    }
}

/// Returns a member, if it has this type.
fn read<'a, T: Deserialize<'a>>(member: &'a RawValue) -> Option<T> {
    serde_json::from_str(member.get()).ok()
}

/// Returns how long a token stays active. `None` if it has expired, or if `exp` cannot be read.
fn remaining(exp: Option<&RawValue>, now: Duration) -> Option<Duration> {
    let Some(exp) = exp else { return Some(Duration::MAX) };
    let remaining = read::<f64>(exp)? - now.as_secs_f64();
    (remaining > 0.0).then(|| Duration::try_from_secs_f64(remaining).unwrap_or(Duration::MAX))
}

/// Whether a scope contains the required word. It has words with spaces between them, or is a list,
/// as some servers send it.
fn covers(scope: Option<&RawValue>, needed: Option<&str>) -> bool {
    let Some(needed) = needed else { return true };
    let words = scope.and_then(|scope| read(scope).or_else(|| read::<String>(scope).map(|words| vec![words])));
    words.unwrap_or_default().iter().flat_map(|words| words.split(' ')).any(|word| word == needed)
}

/// Control characters would end the header, or the host would refuse it.
fn can_be_a_header(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}
