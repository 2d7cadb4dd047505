//! The time that a filter which is one async function has for all it does.

use crate::callout::timer::tick::milliseconds;
use crate::callout::timer::timeout;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::log::line::Line;
use core::time::Duration;

/// Whether a deadline is a time that hosts can count, and not over at once: checked when a filter
/// is compiled.
pub const fn is_deadline(limit: Duration) -> bool {
    let milliseconds = limit.as_millis();
    !limit.is_zero() && milliseconds <= u32::MAX as u128
}

/// Runs a filter's function, which is dropped when the time is over.
pub async fn within(limit: Duration, name: &'static str, function: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(limit, function).await {
        Ok(result) => result,
        Err(error) if error.kind() == ErrorKind::Timeout => Err(elapsed(limit, name)),
        Err(refusal) => Err(refusal),
    }
}

#[cold]
fn elapsed(limit: Duration, name: &'static str) -> Error {
    let mut line = Line::new();
    line.push("`");
    line.push(name);
    line.push("` has not returned within its deadline of ");
    line.push_number(milliseconds(limit).unwrap_or(u32::MAX));
    line.push(" ms");
    Error::text(ErrorKind::Timeout, String::from_utf8_lossy(line.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_time_that_hosts_can_count() {
        for (limit, expected) in [
            (Duration::ZERO, false),
            (Duration::from_nanos(1), true),
            (Duration::from_secs(2), true),
            (Duration::from_millis(u32::MAX.into()), true),
            (Duration::from_millis(u64::from(u32::MAX) + 1), false),
            (Duration::MAX, false),
        ] {
            assert_eq!(is_deadline(limit), expected, "{limit:?}");
        }
    }

    #[test]
    fn the_error_names_the_function_and_the_deadline() {
        let error = elapsed(Duration::from_secs(2), "authorize");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.to_string(), "`authorize` has not returned within its deadline of 2000 ms");
    }
}
