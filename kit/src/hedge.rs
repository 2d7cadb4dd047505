//! Hedged calls: a second call if the first one is slow, and the first success of both.
//!
//! ```
//! use proxy_filter_kit::hedge::hedge;
//!
//! # async fn send(_cluster: &str) -> Result<u16, String> { Ok(200) }
//! # async fn sleep() {} // Timer::after(latency.delay())
//! async fn call() -> Result<u16, String> {
//!     hedge(send("first"), sleep(), async || send("second").await).await
//! }
//! ```
//!
//! Hedge only calls that may run twice. [`Latency`] estimates a delay that few calls exceed, and
//! [`retry::Budget`](crate::retry::Budget) limits the share of calls that are hedged.
//!
//! Source: J. Dean, L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

/// Awaits `first`. When `delay` is over or `first` fails, also runs `second`. Returns the first
/// success, or the last error. The other call is dropped, which cancels it.
///
/// # Errors
/// Fails if both calls fail, with the error of the later one.
pub async fn hedge<T, E>(
    first: impl Future<Output = Result<T, E>>,
    delay: impl Future,
    second: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let (mut first, mut delay) = (pin!(first), pin!(delay));
    let early = poll_fn(|context| match first.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => delay.as_mut().poll(context).map(|_| None),
    });
    let mut is_running = match early.await {
        Some(Ok(result)) => return Ok(result),
        Some(Err(_)) => false,
        None => true,
    };
    let mut second = pin!(second());
    let mut failed = None;
    poll_fn(|context| {
        if is_running {
            match first.as_mut().poll(context) {
                Poll::Ready(Ok(result)) => return Poll::Ready(Ok(result)),
                Poll::Ready(Err(error)) => {
                    is_running = false;
                    if failed.take().is_some() {
                        return Poll::Ready(Err(error));
                    }
                }
                Poll::Pending => {}
            }
        }
        if failed.is_some() {
            return Poll::Pending;
        }
        match second.as_mut().poll(context) {
            Poll::Ready(Err(error)) if is_running => {
                failed = Some(error);
                Poll::Pending
            }
            result => result,
        }
    })
    .await
}

/// The number of classes of latencies: four for each doubling, from 128 microseconds.
const CLASSES: usize = 80;

/// Estimates the latency that a given share of calls does not exceed, from recent calls.
///
/// It stores 80 numbers. The estimate is at most a fifth too large. Older calls count less: after
/// each 1,000 calls, all counts are halved.
///
/// ```
/// use proxy_filter_kit::hedge::Latency;
/// use std::time::Duration;
///
/// let mut latency = Latency::new(95, Duration::from_millis(50));
/// assert_eq!(latency.delay(), Duration::from_millis(50)); // too few calls
/// for milliseconds in 1..=100 {
///     latency.record(Duration::from_millis(milliseconds));
/// }
/// assert!(latency.delay() >= Duration::from_millis(95) && latency.delay() < Duration::from_millis(115));
/// ```
#[derive(Clone, Debug)]
pub struct Latency {
    counts: [u32; CLASSES],
    calls: u32,
    percent: u32,
    initial: Duration,
}

impl Latency {
    /// The number of calls from which on the estimate is used.
    const ENOUGH: u32 = 20;

    /// Creates an estimate for a percentage of calls, such as 95. Until 20 calls were recorded, the
    /// delay is `initial`.
    pub const fn new(percent: u32, initial: Duration) -> Self {
        Self { counts: [0; CLASSES], calls: 0, percent: if percent > 100 { 100 } else { percent }, initial }
    }

    /// Records the latency of a call. Do not record calls that were cancelled.
    pub fn record(&mut self, latency: Duration) {
        let class = (0..CLASSES).find(|class| latency <= limit(*class)).unwrap_or(CLASSES - 1);
        if let Some(count) = self.counts.get_mut(class) {
            *count = count.saturating_add(1);
        }
        self.calls = self.calls.saturating_add(1);
        if self.calls >= 1000 {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.calls = self.counts.iter().sum();
        }
    }

    /// Returns the latency that the share of calls does not exceed.
    pub fn delay(&self) -> Duration {
        if self.calls < Self::ENOUGH {
            return self.initial;
        }
        let wanted = u64::from(self.calls).saturating_mul(self.percent.into()).div_ceil(100);
        let mut sum = 0_u64;
        let class = self.counts.iter().position(|count| {
            sum = sum.saturating_add(u64::from(*count));
            sum >= wanted
        });
        limit(class.unwrap_or(CLASSES - 1))
    }
}

/// The longest latency of a class: 128 µs times 1, 1.25, 1.5, 1.75, 2, 2.5, 3, …
fn limit(class: usize) -> Duration {
    let (doublings, quarters) = (class / 4, class % 4);
    let quarters = u64::try_from(quarters).unwrap_or(0);
    Duration::from_micros((32_u64 << doublings).saturating_mul(quarters.saturating_add(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use core::task::{Context, Waker};

    /// A future that is ready after a number of polls.
    async fn after<T>(polls: u32, value: T) -> T {
        let mut left = polls;
        poll_fn(move |_| {
            left = left.saturating_sub(1);
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        value
    }

    /// Sets a flag when it is dropped.
    struct Ended<'a>(&'a Cell<bool>);

    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    /// Runs a hedged call. Returns its result, the number of polls, and whether `second` began.
    fn run(first: (u32, Result<u8, u8>), delay: u32, second: (u32, Result<u8, u8>)) -> (Result<u8, u8>, u32, bool) {
        let (began, dropped) = (Cell::new(false), Cell::new(false));
        let first = async {
            let _ended = Ended(&dropped);
            after(first.0, first.1).await
        };
        let call = hedge(first, after(delay, ()), async || {
            began.set(true);
            after(second.0, second.1).await
        });
        let (result, polls) = {
            let mut call = Box::pin(call);
            let mut context = Context::from_waker(Waker::noop());
            let mut polls = 0;
            loop {
                polls += 1;
                assert!(polls < 50, "the call is never ready");
                if let Poll::Ready(result) = call.as_mut().poll(&mut context) {
                    break (result, polls);
                }
            }
        };
        assert!(dropped.get());
        (result, polls, began.get())
    }

    #[test]
    fn the_second_call_begins_only_if_the_first_is_slow_or_fails() {
        assert_eq!(run((1, Ok(1)), 5, (1, Ok(2))), (Ok(1), 1, false));
        assert_eq!(run((5, Ok(1)), 9, (1, Ok(2))), (Ok(1), 5, false));
        assert_eq!(run((9, Ok(1)), 3, (2, Ok(2))), (Ok(2), 4, true));
        assert_eq!(run((2, Err(1)), 9, (3, Ok(2))), (Ok(2), 4, true));
    }

    #[test]
    fn the_first_success_of_both_is_the_result() {
        // The first call is polled again in the poll in which the second one begins.
        assert_eq!(run((4, Ok(1)), 2, (9, Ok(2))), (Ok(1), 3, true));
        assert_eq!(run((6, Ok(1)), 2, (2, Err(2))), (Ok(1), 5, true));
        assert_eq!(run((4, Err(1)), 2, (6, Ok(2))), (Ok(2), 7, true));
    }

    #[test]
    fn the_later_error_is_the_result_if_both_fail() {
        assert_eq!(run((4, Err(1)), 2, (6, Err(2))), (Err(2), 7, true));
        assert_eq!(run((8, Err(1)), 2, (2, Err(2))), (Err(1), 7, true));
        assert_eq!(run((1, Err(1)), 2, (1, Err(2))), (Err(2), 1, true));
    }

    #[test]
    fn an_estimate_follows_the_recent_calls_and_is_never_too_small() {
        let mut latency = Latency::new(90, Duration::from_millis(10));
        for expected in [1_u64, 30, 700, 20_000] {
            for _ in 0..8000 {
                latency.record(Duration::from_millis(expected));
            }
            let delay = latency.delay();
            assert!(
                delay >= Duration::from_millis(expected) && delay <= Duration::from_micros(expected * 1250),
                "{delay:?}"
            );
        }
    }

    #[test]
    fn extreme_latencies_and_percentages_are_accepted() {
        for percent in [0, 100, u32::MAX] {
            let mut latency = Latency::new(percent, Duration::ZERO);
            for _ in 0..3000 {
                latency.record(Duration::MAX);
                latency.record(Duration::ZERO);
            }
            assert!(latency.delay() <= limit(CLASSES - 1));
        }
        assert!(limit(CLASSES - 1) > Duration::from_secs(100));
        assert!((1..CLASSES).all(|class| limit(class) > limit(class - 1)));
    }
}
