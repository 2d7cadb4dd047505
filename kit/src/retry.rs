//! Retries of calls: pauses, numbers of attempts, and a budget for all calls.
//!
//! [`Backoff`] computes pauses. [`Budget`] limits retries to a part of the calls. [`retry_after`]
//! parses the pause that a service requests. [`Retry`] runs an async closure with all of them.

use core::time::Duration;
use std::time::SystemTime;

/// Pauses between attempts: each is twice the one before, up to a maximum, with jitter.
///
/// ```
/// use proxy_filter_kit::retry::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// assert_eq!(backoff.longest_pause(0), Duration::from_millis(100));
/// assert_eq!(backoff.longest_pause(3), Duration::from_millis(800));
/// assert_eq!(backoff.longest_pause(60), Duration::from_secs(2));
/// let random = 0x1234_5678_9abc_def0; // proxy_filter::random::u64()
/// assert!(backoff.pause(3, random) <= Duration::from_millis(800));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Sets the pause before the first retry, and the maximum.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the pause before a retry without jitter. Retries are numbered from 0.
    pub fn longest_pause(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Returns a pause between half of the full pause and the full pause, chosen by a random
    /// number. Without jitter, all streams that failed together would retry together.
    pub fn pause(&self, retry: u32, random: u64) -> Duration {
        let half = self.longest_pause(retry) / 2;
        let nanoseconds = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half.saturating_add(Duration::from_nanos(random % nanoseconds.saturating_add(1).max(1)))
    }
}

/// Limits retries to a part of the calls. Without a budget, retries multiply the load of a slow
/// service.
///
/// Each call adds to the budget, and each retry takes from it. A few retries are saved for times
/// with few calls.
///
/// ```
/// use proxy_filter_kit::retry::Budget;
///
/// let mut budget = Budget::percent(20, 2);
/// for _ in 0..5 {
///     budget.on_call();
/// }
/// let retries = (0..10).filter(|_| budget.take_retry()).count();
/// assert_eq!(retries, 2 + 1); // two saved, and a fifth of five calls
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    percent: u32,
    /// In hundredths of a retry.
    saved: u32,
    most: u32,
}

impl Budget {
    /// Allows retries for this part of the calls. `saved` is the maximum number of saved retries,
    /// and the number at the beginning. It is at least the amount that one call adds.
    pub fn percent(percent: u32, saved: u32) -> Self {
        let most = saved.saturating_mul(100);
        Self { percent, saved: most, most: most.saturating_add(10_000).max(percent) }
    }

    /// Records a call that is not a retry.
    pub fn on_call(&mut self) {
        self.saved = self.saved.saturating_add(self.percent).min(self.most);
    }

    /// Takes one retry from the budget, if there is one.
    pub fn take_retry(&mut self) -> bool {
        let left = self.saved.checked_sub(100);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

/// Parses `retry-after`: seconds, or a date. A past date is no pause. `now` is the time of day.
///
/// ```
/// use proxy_filter_kit::retry::retry_after;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
/// assert_eq!(retry_after(b"120", now), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
/// assert_eq!(retry_after(b"soon", now), None);
/// ```
///
/// Source: RFC 9110, section 10.2.3.
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = core::str::from_utf8(value.trim_ascii()).ok()?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default())
}

/// Whether a request may be repeated safely, whatever the result of the first attempt: the
/// idempotent methods of RFC 9110.
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

/// Whether a status suggests that another attempt may succeed: 408, 425, 429, 500, 502, 503, 504.
pub fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// The final result, good or bad.
    Done(T),
    /// Another attempt may succeed. If there is none, this is the final result.
    Again(T),
    /// As `Again`, with the pause that the service requests.
    AgainAfter(T, Duration),
}

/// The number of attempts of an async closure, and the pauses between them.
///
/// It does not depend on a timer. The closure `sleep` awaits the SDK's timer, for example `async
/// |pause| Timer::after(pause).await`.
///
/// ```
/// use proxy_filter_kit::retry::{Attempt, Backoff, Retry};
/// use std::time::Duration;
///
/// # fn random() -> u64 { 7 }
/// # async fn send() -> Result<u16, String> { Ok(503) }
/// # async fn sleep(_: Duration) {}
/// async fn call() -> Result<u16, String> {
///     let retry = Retry::new(3, Backoff::new(Duration::from_millis(50), Duration::from_secs(1)));
///     let attempt = async |_number| match send().await {
///         Ok(status) if proxy_filter_kit::retry::is_transient(status) => {
///             Attempt::Again(Ok(status))
///         }
///         Err(error) => Attempt::Again(Err(error)),
///         result => Attempt::Done(result),
///     };
///     retry.run(random, async |pause| sleep(pause).await, attempt).await
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    attempts: u32,
    backoff: Backoff,
    longest_asked: Duration,
}

impl Retry {
    /// Sets the maximum number of attempts, including the first. 0 counts as 1.
    pub const fn new(attempts: u32, backoff: Backoff) -> Self {
        Self { attempts, backoff, longest_asked: Duration::from_secs(10) }
    }

    /// Stops if a service requests a longer pause. Defaults to 10 seconds.
    #[must_use]
    pub const fn longest_asked_pause(mut self, longest: Duration) -> Self {
        self.longest_asked = longest;
        self
    }

    /// Runs the closure until a result is final. The closure receives the number of the attempt,
    /// from 0.
    pub async fn run<T>(
        &self,
        mut random: impl FnMut() -> u64,
        mut sleep: impl AsyncFnMut(Duration),
        mut attempt: impl AsyncFnMut(u32) -> Attempt<T>,
    ) -> T {
        let mut number = 0_u32;
        loop {
            let pause = self.backoff.pause(number, random());
            let (result, pause) = match attempt(number).await {
                Attempt::Done(result) => return result,
                Attempt::Again(result) => (result, pause),
                Attempt::AgainAfter(result, asked) if asked > self.longest_asked => return result,
                Attempt::AgainAfter(result, asked) => (result, pause.max(asked)),
            };
            number = number.saturating_add(1);
            if number >= self.attempts {
                return result;
            }
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, block_on};

    const fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_have_jitter() {
        let backoff = Backoff::new(milliseconds(100), milliseconds(1000));
        let mut generator = Generator::new(5);
        for (retry, longest) in
            [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (31, 1000), (32, 1000), (u32::MAX, 1000)]
        {
            let longest = milliseconds(longest);
            assert_eq!(backoff.longest_pause(retry), longest);
            let pauses: Vec<Duration> = (0..200).map(|_| backoff.pause(retry, generator.next())).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{retry}");
            assert!(
                pauses.iter().any(|pause| *pause > longest * 9 / 10)
                    && pauses.iter().any(|pause| *pause < longest * 6 / 10)
            );
        }
        assert_eq!(Backoff::new(Duration::ZERO, Duration::MAX).pause(9, u64::MAX), Duration::ZERO);
        assert!(Backoff::new(Duration::MAX, Duration::MAX).pause(9, u64::MAX) >= Duration::MAX / 2);
    }

    #[test]
    fn retries_are_a_part_of_the_calls() {
        let mut budget = Budget::percent(10, 3);
        let mut retries = 0;
        for _ in 0..1000 {
            budget.on_call();
            retries += u32::from(budget.take_retry());
        }
        assert_eq!(retries, 103);
        let mut none = Budget::percent(0, 0);
        none.on_call();
        assert!(!none.take_retry());
        let mut idle = Budget::percent(100, 0);
        (0..100_000).for_each(|_| idle.on_call());
        assert_eq!((0..1000).filter(|_| idle.take_retry()).count(), 100, "saved retries are limited");
    }

    #[test]
    fn pauses_that_services_request_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(retry_after(value.as_bytes(), now), expected.map(Duration::from_secs), "{value}");
        }
    }

    fn run(retry: Retry, results: &[Attempt<u32>]) -> (u32, Vec<Duration>) {
        let mut slept = Vec::new();
        let result =
            block_on(retry.run(|| 0, async |pause| slept.push(pause), async |number| results[number as usize].clone()));
        (result, slept)
    }

    #[test]
    fn attempts_end_with_a_result_or_their_number() {
        use Attempt::{Again, AgainAfter, Done};
        let retry = Retry::new(3, Backoff::new(milliseconds(100), milliseconds(1000)));
        assert_eq!(run(retry, &[Done(1)]), (1, vec![]));
        assert_eq!(run(retry, &[Again(1), Done(2)]), (2, vec![milliseconds(50)]));
        assert_eq!(run(retry, &[Again(1), Again(2), Again(3)]), (3, vec![milliseconds(50), milliseconds(100)]));
        assert_eq!(run(retry, &[AgainAfter(1, milliseconds(900)), Done(2)]), (2, vec![milliseconds(900)]));
        assert_eq!(run(retry, &[AgainAfter(1, milliseconds(10_001))]), (1, vec![]));
        assert_eq!(run(Retry::new(0, Backoff::new(milliseconds(1), milliseconds(1))), &[Again(1)]), (1, vec![]));
    }
}
