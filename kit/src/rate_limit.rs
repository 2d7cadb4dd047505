//! Rate limits: token buckets, sliding windows and fixed windows, either exact over all workers or
//! cheap.
//!
//! A limit is arithmetic on one number, and the filter chooses where to store that number. In the
//! SDK's shared data, an update by compare-and-swap makes the limit exact over all workers of a
//! proxy:
//!
//! ```
//! use proxy_filter_kit::rate_limit::{Taken, TokenBucket};
//! use std::time::Duration;
//!
//! // Stands for `SharedCell::<u64>::named(key).update_if(…)` of `proxy_filter::shared_data`.
//! fn update_if(cell: &mut Option<u64>, mut change: impl FnMut(Option<u64>) -> Option<u64>) {
//!     if let Some(after) = change(*cell) {
//!         *cell = Some(after);
//!     }
//! }
//!
//! let bucket = TokenBucket::new(100, Duration::from_secs(60)).burst(20); // 100 a minute, 20 at once
//! let now = Duration::from_secs(1_700_000_000); // since 1970: the clock of all workers
//! let mut cell = None;
//! let mut taken = Taken::Allowed { state: 0, remaining: 0 };
//! update_if(&mut cell, |state| {
//!     taken = bucket.take(state, 1, now);
//!     taken.state()
//! });
//! assert!(matches!(taken, Taken::Allowed { remaining: 19, .. }));
//! ```
//!
//! [`Reserve`] takes tokens in batches, and updates the shared number once for each batch.

use core::time::Duration;

/// A token bucket: a rate of tokens, and a maximum number at once.
///
/// The state is the time in nanoseconds at which the bucket is full again (GCRA): 8 bytes for each
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Nanoseconds for one token, at least 1.
    interval: u64,
    burst: u64,
    debt: u64,
}

/// The result of taking tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// The tokens were taken.
    Allowed {
        /// The new state. Store it.
        state: u64,
        /// The number of remaining tokens.
        remaining: u64,
    },
    /// The tokens were not taken, and the state does not change.
    Denied {
        /// The time until there are enough tokens, if no other call takes any. `Duration::MAX` for
        /// more tokens than the bucket can have.
        retry_after: Duration,
    },
}

impl Taken {
    /// Whether the tokens were taken.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// Returns the state to store, if it has changed.
    pub const fn state(&self) -> Option<u64> {
        match self {
            Self::Allowed { state, .. } => Some(*state),
            Self::Denied { .. } => None,
        }
    }

    /// Returns the time after which to try again as an error, for [`Reserve::take`].
    ///
    /// # Errors
    /// The tokens were not taken.
    pub const fn result(&self) -> Result<(), Duration> {
        match self {
            Self::Allowed { .. } => Ok(()),
            Self::Denied { retry_after } => Err(*retry_after),
        }
    }
}

/// Without products of 128 bits, which modules compute slowly.
fn nanoseconds(time: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if time.as_secs() >= u64::MAX / SECOND {
        return u64::MAX;
    }
    time.as_secs().wrapping_mul(SECOND).wrapping_add(time.subsec_nanos().into())
}

impl TokenBucket {
    /// Creates a bucket with this number of tokens for each period, and the same maximum. 0 tokens
    /// count as 1. A token takes at least one nanosecond.
    pub fn new(tokens: u64, period: Duration) -> Self {
        let tokens = tokens.max(1);
        Self { interval: (nanoseconds(period) / tokens).max(1), burst: tokens, debt: 0 }
    }

    /// Sets the maximum number of tokens in the bucket. 0 counts as 1.
    #[must_use]
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = if burst == 0 { 1 } else { burst };
        self
    }

    /// Sets the maximum number of tokens that the bucket may owe after [`charge`](Self::charge).
    /// Defaults to 0.
    #[must_use]
    pub const fn debt(mut self, debt: u64) -> Self {
        self.debt = debt;
        self
    }

    /// Takes tokens that were used already, for example those of a response whose size was not
    /// known before. Returns the new state. If the bucket has fewer tokens, it owes the others, up
    /// to its [`debt`](Self::debt), and [`take`](Self::take) denies until they are paid.
    ///
    /// ```
    /// use proxy_filter_kit::rate_limit::TokenBucket;
    /// use std::time::Duration;
    ///
    /// let bucket = TokenBucket::new(60, Duration::from_secs(60)).debt(600);
    /// let now = Duration::from_secs(1_700_000_000);
    /// let state = bucket.charge(None, 90, now); // 30 more than the bucket had
    /// assert!(!bucket.take(Some(state), 1, now + Duration::from_secs(30)).is_allowed());
    /// assert!(bucket.take(Some(state), 1, now + Duration::from_secs(31)).is_allowed());
    /// ```
    #[must_use]
    pub fn charge(&self, state: Option<u64>, tokens: u64, now: Duration) -> u64 {
        let now = nanoseconds(now);
        let last = self.last(now);
        let after = state.unwrap_or(0).clamp(now, last).saturating_add(self.interval.saturating_mul(tokens));
        after.min(last)
    }

    /// Returns the latest time at which the bucket may be full again.
    const fn last(&self, now: u64) -> u64 {
        now.saturating_add(self.interval.saturating_mul(self.burst.saturating_add(self.debt)))
    }

    /// Takes tokens, at a time since 1970. The state `None` is a full bucket.
    ///
    /// If the clock is set back, no tokens are added. A state far in the future, as after a change
    /// of the settings, counts as a bucket that owes its maximum.
    pub fn take(&self, state: Option<u64>, tokens: u64, now: Duration) -> Taken {
        let now = nanoseconds(now);
        let capacity = self.interval.saturating_mul(self.burst);
        let full_at = state.unwrap_or(0).clamp(now, self.last(now));
        let after = full_at.saturating_add(self.interval.saturating_mul(tokens));
        let missing = after.saturating_sub(now).saturating_sub(capacity);
        if missing == 0 {
            let left = capacity.saturating_sub(after.saturating_sub(now));
            Taken::Allowed { state: after, remaining: left.checked_div(self.interval).unwrap_or(0) }
        } else if tokens > self.burst {
            Taken::Denied { retry_after: Duration::MAX }
        } else {
            Taken::Denied { retry_after: Duration::from_nanos(missing) }
        }
    }
}

/// A sliding window: a maximum number in any window of time, estimated from two counters.
///
/// The estimate assumes that the requests of the previous window were evenly distributed. It is
/// exact for an even load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    limit: u32,
    window: u64,
}

/// The state of a [`SlidingWindow`]: 16 bytes for each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    number: u64,
    before: u32,
    current: u32,
}

impl Window {
    /// Returns the state as bytes, to be stored.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let parts =
            self.number.to_le_bytes().into_iter().chain(self.before.to_le_bytes()).chain(self.current.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// Restores a stored state.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = |from: usize, count: usize| {
            bytes.iter().skip(from).take(count).rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let small = |from| u32::try_from(number(from, 4)).unwrap_or(u32::MAX);
        Self { number: number(0, 8), before: small(8), current: small(12) }
    }
}

impl SlidingWindow {
    /// Creates a limit of this number in each window. A window takes at least one nanosecond.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window: nanoseconds(window).max(1) }
    }

    /// Counts one request, at a time since 1970. Returns the new state, or `None` if the limit is
    /// reached: then the state does not change.
    ///
    /// ```
    /// use proxy_filter_kit::rate_limit::{SlidingWindow, Window};
    /// use std::time::Duration;
    ///
    /// let limit = SlidingWindow::new(2, Duration::from_secs(60));
    /// let now = Duration::from_secs(600);
    /// let one = limit.count(Window::default(), now).unwrap();
    /// let two = limit.count(one, now).unwrap();
    /// assert_eq!(limit.count(two, now), None);
    /// assert!(limit.count(two, now + Duration::from_secs(90)).is_some());
    /// ```
    pub fn count(&self, state: Window, now: Duration) -> Option<Window> {
        let now = nanoseconds(now);
        let number = now / self.window;
        let mut state = match number.checked_sub(state.number) {
            // If the clock was set back, the later window is used.
            None | Some(0) => state,
            Some(1) => Window { number, before: state.current, current: 0 },
            Some(_) => Window { number, before: 0, current: 0 },
        };
        let rest = if state.number > number { self.window } else { self.window.saturating_sub(now % self.window) };
        // The part of the previous window that the sliding window still contains.
        let before = u128::from(state.before) * u128::from(rest) / u128::from(self.window);
        if before + u128::from(state.current) >= u128::from(self.limit) {
            return None;
        }
        state.current = state.current.saturating_add(1);
        Some(state)
    }
}

/// A fixed window: a maximum number of requests in each window. Windows begin at multiples of their
/// length since 1970.
///
/// Around the end of a window, twice the limit may be forwarded within a short time.
///
/// ```
/// use proxy_filter_kit::rate_limit::FixedWindow;
/// use std::time::Duration;
///
/// let limit = FixedWindow::new(2, Duration::from_secs(10));
/// let at = Duration::from_secs;
/// let one = limit.count(b"", at(601));
/// let two = limit.count(&one.state, at(602));
/// assert_eq!((two.is_allowed, two.window, two.remaining), (true, 60, 0));
/// let three = limit.count(&two.state, at(603));
/// assert_eq!((three.is_allowed, three.ends_after), (false, at(7)));
/// assert!(limit.count(&three.state, at(610)).is_allowed);
/// ```
///
/// With the SDK, store the state in a `SharedCell<Vec<u8>>`, and call `count` in its `update_if`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    limit: u32,
    window: u64,
}

/// The result of [`FixedWindow::count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Counted {
    /// Whether the requests are within the limit. Otherwise none of them was counted.
    pub is_allowed: bool,
    /// The number of the window in which the requests count. Windows are numbered since 1970.
    pub window: u64,
    /// The number of requests that the window still allows.
    pub remaining: u32,
    /// The time until the window ends.
    pub ends_after: Duration,
    /// The new state. Store it if the requests were counted.
    pub state: [u8; 12],
}

impl Counted {
    /// Returns the time until the window ends as an error, for [`Reserve::take`].
    ///
    /// # Errors
    /// The requests were not counted.
    pub const fn result(&self) -> Result<(), Duration> {
        if self.is_allowed { Ok(()) } else { Err(self.ends_after) }
    }
}

impl FixedWindow {
    /// Creates a limit of this number in each window. A window takes at least one nanosecond.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window: nanoseconds(window).max(1) }
    }

    /// Counts one request, at a time since 1970. An empty state has no requests, and bytes that are
    /// no state are ignored.
    ///
    /// A worker that read the clock just before the end of a window may be late. If another worker
    /// has begun the next window, the request counts in that one. If the stored window is further
    /// ahead, the clock was set back, and the stored count is ignored.
    pub fn count(&self, state: &[u8], now: Duration) -> Counted {
        self.count_batch(state, 1, now)
    }

    /// Like [`count`](Self::count), for several requests: all of them are counted, or none.
    pub fn count_batch(&self, state: &[u8], requests: u32, now: Duration) -> Counted {
        let now = nanoseconds(now);
        let current = now / self.window;
        let rest = self.window.saturating_sub(now % self.window);
        let (window, used, ends_after) = match Self::read(state) {
            Some((window, used)) if window == current => (window, used, rest),
            Some((window, used)) if window == current.saturating_add(1) => {
                (window, used, rest.saturating_add(self.window))
            }
            _ => (current, 0, rest),
        };
        let sum = used.checked_add(requests).filter(|sum| *sum <= self.limit);
        let used = sum.unwrap_or(used);
        let mut state = [0; 12];
        if let Some((first, last)) = state.split_first_chunk_mut() {
            *first = window.to_le_bytes();
            last.copy_from_slice(&used.to_le_bytes());
        }
        Counted {
            is_allowed: sum.is_some(),
            window,
            remaining: self.limit.saturating_sub(used),
            ends_after: Duration::from_nanos(ends_after),
            state,
        }
    }

    fn read(state: &[u8]) -> Option<(u64, u32)> {
        let (window, used) = state.split_first_chunk()?;
        Some((u64::from_le_bytes(*window), u32::from_le_bytes(used.try_into().ok()?)))
    }
}

/// An exact sliding window: at most a number of requests in any window of time, of all workers that
/// share the state.
///
/// The state has the times of the requests that still count: 8 bytes each. Use it for small limits,
/// such as five logins in a minute, and [`TokenBucket`] or [`SlidingWindow`] for large ones.
///
/// ```
/// use proxy_filter_kit::rate_limit::ExactWindow;
/// use std::time::Duration;
///
/// let limit = ExactWindow::new(2, Duration::from_secs(60));
/// let at = Duration::from_secs;
/// let one = limit.count(b"", at(600)).unwrap();
/// let two = limit.count(&one, at(630)).unwrap();
/// assert_eq!(limit.count(&two, at(659)), Err(at(1)));
/// assert!(limit.count(&two, at(660)).is_ok());
/// ```
///
/// With the SDK, store the state in a `SharedCell<Vec<u8>>`, and call `count` in its `update_if`.
/// The update is repeated with the other worker's state if another worker was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactWindow {
    limit: usize,
    window: u64,
}

impl ExactWindow {
    /// The maximum limit: a state has at most 8 KiB.
    pub const MAX_LIMIT: u32 = 1024;

    /// Creates a limit of this number in any window. A number above
    /// [`MAX_LIMIT`](Self::MAX_LIMIT) counts as that. A window takes at least one millisecond, and
    /// times are counted in whole milliseconds.
    pub fn new(limit: u32, window: Duration) -> Self {
        let limit = usize::try_from(limit.min(Self::MAX_LIMIT)).unwrap_or(usize::MAX);
        Self { limit, window: milliseconds(window).max(1) }
    }

    /// Counts one request, at a time since 1970. Returns the new state. An empty state has no
    /// requests.
    ///
    /// If the clock was set back, later requests count as requests of now. Bytes that are no state
    /// are ignored, and of a state with more requests, as after a change of the settings, the last
    /// ones count.
    ///
    /// # Errors
    /// Fails with the time until the next request is allowed if the limit is reached, and with
    /// `Duration::MAX` for a limit of 0. The state does not change.
    pub fn count(&self, state: &[u8], now: Duration) -> Result<Vec<u8>, Duration> {
        let now = milliseconds(now);
        let (times, _) = state.as_chunks::<8>();
        let times = times.iter().map(|time| u64::from_le_bytes(*time).min(now));
        let mut counted: Vec<u64> = times.filter(|time| now.saturating_sub(*time) < self.window).collect();
        let surplus = counted.len().saturating_sub(self.limit);
        let mut counted = counted.split_off(surplus);
        if counted.len() >= self.limit {
            let first = counted.first().ok_or(Duration::MAX)?;
            let wait = self.window.saturating_sub(now.saturating_sub(*first));
            return Err(Duration::from_millis(wait));
        }
        counted.push(now);
        Ok(counted.iter().flat_map(|time| time.to_le_bytes()).collect())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tokens that one VM has taken from a shared bucket in advance. The shared number is updated once
/// for each batch.
///
/// With `n` VMs and batches of `b`, at most `burst + rate * t + n * b` tokens are used in any time
/// `t`. At most `(n + 1) * b` tokens are unused while a VM denies. Reserved tokens expire after
/// `keep`. If the bucket has fewer tokens than a batch, a VM takes one, and then does not update
/// the shared number until there may be a batch.
///
/// A batch of a tenth of the tokens that one VM uses in a second is cheap and accurate. It must not
/// be larger than the bucket's burst.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    batch: u64,
    keep: Duration,
    left: u64,
    until: Duration,
    denied_until: Duration,
}

impl Reserve {
    /// Sets the size of a batch, and the time after which its tokens expire. A size of 0 counts as
    /// 1.
    pub fn new(batch: u64, keep: Duration) -> Self {
        Self { batch: batch.max(1), keep, left: 0, until: Duration::ZERO, denied_until: Duration::ZERO }
    }

    /// Takes one token. The closure takes tokens from the shared bucket, and receives their number.
    /// It returns [`Taken::result`] or [`Counted::result`].
    ///
    /// `now` may be a time that a tick of the filter stores. Then a reserved token costs no call of
    /// the host. A reserved token expires later by at most the period of the tick, and a VM denies
    /// for longer by at most this period.
    ///
    /// # Errors
    /// Returns the closure's error; then no token is taken. If there is no token, returns
    /// `Ok(Err(…))` with the time until there may be one.
    pub fn take<E>(
        &mut self,
        now: Duration,
        mut shared: impl FnMut(u64) -> Result<Result<(), Duration>, E>,
    ) -> Result<Result<(), Duration>, E> {
        if self.left > 0 && now < self.until {
            self.left = self.left.saturating_sub(1);
            return Ok(Ok(()));
        }
        self.left = 0;
        let wait = self.denied_until.saturating_sub(now);
        // If the clock was set back, the wait is limited to the time for which tokens are kept.
        if !wait.is_zero() && wait <= self.keep {
            return Ok(Err(wait));
        }
        let until_batch = match shared(self.batch)? {
            Ok(()) => {
                (self.left, self.until) = (self.batch.saturating_sub(1), now.saturating_add(self.keep));
                return Ok(Ok(()));
            }
            Err(retry_after) => retry_after,
        };
        // There are fewer tokens than a batch. Take one of them, then pause until there may be a
        // batch.
        let single = shared(1)?;
        let wait = match single {
            Err(retry_after) if until_batch > self.keep => retry_after,
            Ok(()) if until_batch > self.keep => Duration::ZERO,
            _ => until_batch,
        };
        self.denied_until = now.saturating_add(wait);
        Ok(single.map_err(|_| wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Generator;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    const START: Duration = Duration::from_secs(1_700_000_000);

    const fn at(milliseconds: u64) -> Duration {
        START.saturating_add(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = TokenBucket::new(10, Duration::from_secs(1)).burst(3);
        let mut state = None;
        let mut allowed = Vec::new();
        for time in (0..1000).step_by(10) {
            let taken = bucket.take(state, 1, at(time));
            state = taken.state().or(state);
            if taken.is_allowed() {
                allowed.push(time);
            }
        }
        assert_eq!(allowed, [0, 10, 20, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(bucket.take(state, 1, at(950)), Taken::Denied { retry_after: Duration::from_millis(50) });
        assert_eq!(bucket.take(None, 4, at(0)), Taken::Denied { retry_after: Duration::MAX });
        assert!(matches!(bucket.take(state, 3, at(5000)), Taken::Allowed { remaining: 0, .. }));
    }

    #[test]
    fn a_state_of_any_value_and_any_clock_is_no_trap() {
        let mut generator = Generator::new(8);
        for _ in 0..5000 {
            let bucket =
                TokenBucket::new(generator.next(), Duration::from_nanos(generator.next() << generator.below(12)));
            let state = Some(generator.next() << generator.below(12));
            let _ =
                bucket.burst(generator.next()).take(state, generator.next(), Duration::from_nanos(generator.next()));
        }
        for extreme in [0, 1, u64::MAX] {
            let _ = TokenBucket::new(extreme, Duration::MAX).burst(extreme).take(Some(extreme), extreme, Duration::MAX);
        }
        let bucket = TokenBucket::new(1, Duration::from_secs(1));
        let future = bucket.take(Some(u64::MAX), 1, at(0));
        assert_eq!(future, Taken::Denied { retry_after: Duration::from_secs(1) });
    }

    #[test]
    fn a_bucket_owes_at_most_its_debt() {
        let bucket = TokenBucket::new(10, Duration::from_secs(1));
        let retry_after = |bucket: &TokenBucket, state| match bucket.take(Some(state), 1, at(0)) {
            Taken::Denied { retry_after } => retry_after,
            Taken::Allowed { remaining, .. } => panic!("{remaining}"),
        };
        for (debt, charged, expected) in [(0, 10, 100), (0, 50, 100), (30, 15, 600), (30, 40, 3100), (30, 1000, 3100)] {
            let bucket = bucket.debt(debt);
            let state = bucket.charge(None, charged, at(0));
            assert_eq!(retry_after(&bucket, state), Duration::from_millis(expected), "{debt} {charged}");
            assert!(bucket.take(Some(state), 1, at(expected)).is_allowed());
        }
        let state = bucket.charge(None, 4, at(0));
        assert!(matches!(bucket.take(Some(state), 1, at(0)), Taken::Allowed { remaining: 5, .. }));
        let mut generator = Generator::new(9);
        for _ in 0..5000 {
            let bucket = TokenBucket::new(generator.next(), Duration::from_nanos(generator.next()));
            let state = bucket.debt(generator.next()).charge(Some(generator.next()), generator.next(), at(0));
            assert!(state >= nanoseconds(at(0)));
        }
    }

    /// Takes tokens as with the shared data of a proxy.
    fn shared(cell: &AtomicU64, bucket: &TokenBucket, tokens: u64, now: Duration) -> Taken {
        let mut taken = Taken::Denied { retry_after: Duration::ZERO };
        let _ = cell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
            taken = bucket.take(Some(state), tokens, now);
            taken.state()
        });
        taken
    }

    #[test]
    fn a_bucket_is_exact_over_threads() {
        let (cell, bucket) = (AtomicU64::new(0), TokenBucket::new(1000, Duration::from_secs(1)));
        let count = |now| (0..700).filter(|_| shared(&cell, &bucket, 1, now).is_allowed()).count();
        for (now, expected) in [(at(0), 1000), (at(500), 500), (at(501), 1), (at(60_000), 1000)] {
            let allowed: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| count(now))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(allowed, expected, "{now:?}");
        }
    }

    #[test]
    fn reserves_stay_within_the_stated_bound() {
        let (cell, bucket) = (AtomicU64::new(0), TokenBucket::new(1000, Duration::from_secs(1)));
        let mut machines = [Reserve::new(20, Duration::from_millis(500)); 4];
        let (mut allowed, mut calls) = (0_u64, 0_u64);
        for time in 0..3000 {
            for machine in &mut machines {
                let taken = machine.take(at(time), |tokens| {
                    calls += 1;
                    Ok::<_, ()>(shared(&cell, &bucket, tokens, at(time)).result())
                });
                allowed += u64::from(taken.unwrap().is_ok());
            }
        }
        let exact = 1000 + 3000;
        assert!(allowed <= exact + 4 * 20 && allowed + 4 * 20 >= exact, "{allowed}");
        assert!(calls < 3_000, "{calls} calls for 12,000 requests");
        let failed = machines[0].take(at(90_000), |_| Err("down"));
        assert_eq!(failed, Err("down"));
    }

    #[test]
    fn a_reserve_takes_the_last_tokens_one_by_one_and_loses_old_ones() {
        let mut reserve = Reserve::new(10, Duration::from_secs(1));
        let mut asked = Vec::new();
        let mut take = |reserve: &mut Reserve, now, enough: u64| {
            reserve.take(now, |tokens| {
                asked.push(tokens);
                Ok::<_, ()>(if tokens <= enough { Ok(()) } else { Err(Duration::from_millis(100)) })
            })
        };
        assert_eq!(take(&mut reserve, at(0), 5), Ok(Ok(())));
        assert_eq!(take(&mut reserve, at(51), 100), Ok(Err(Duration::from_millis(49))), "the bucket is not used");
        assert_eq!(take(&mut reserve, at(101), 100), Ok(Ok(())));
        assert_eq!(take(&mut reserve, at(102), 0), Ok(Ok(())), "a reserved token");
        assert_eq!(take(&mut reserve, at(1101), 0), Ok(Err(Duration::from_millis(100))), "lost");
        assert_eq!(asked, [10, 1, 10, 10, 1]);
    }

    #[test]
    fn a_window_slides() {
        let limit = SlidingWindow::new(10, Duration::from_secs(1));
        let mut state = Window::default();
        let mut count = |time: u64, tries: u32| {
            (0..tries)
                .filter(|_| match limit.count(state, Duration::from_millis(time)) {
                    Some(after) => {
                        state = Window::from_bytes(after.to_bytes());
                        true
                    }
                    None => false,
                })
                .count()
        };
        assert_eq!(count(5_900, 20), 10);
        assert_eq!(count(6_000, 20), 0, "the previous window counts completely");
        assert_eq!(count(6_500, 20), 5);
        assert_eq!(count(6_900, 20), 4);
        assert_eq!(count(3_000, 20), 0, "the clock was set back");
        assert_eq!(count(9_000, 20), 10);
        assert_eq!(SlidingWindow::new(0, Duration::ZERO).count(Window::default(), Duration::MAX), None);
    }

    #[test]
    fn an_exact_window_never_allows_more_in_any_window() {
        let mut generator = Generator::new(12);
        for limit in [1_u32, 3, 10] {
            let window = ExactWindow::new(limit, Duration::from_secs(1));
            let (mut state, mut allowed, mut now) = (Vec::new(), Vec::<u64>::new(), 1_000_000);
            for _ in 0..2000 {
                now += generator.next() % 200;
                let recent = allowed.iter().filter(|time| now - **time < 1000).count();
                match window.count(&state, Duration::from_millis(now)) {
                    Ok(after) => {
                        assert!(recent < limit as usize, "{now}");
                        allowed.push(now);
                        state = after;
                    }
                    Err(wait) => {
                        assert_eq!(recent, limit as usize, "{now}");
                        assert!(window.count(&state, Duration::from_millis(now) + wait).is_ok());
                        assert!(window.count(&state, Duration::from_millis(now - 1) + wait).is_err());
                    }
                }
                assert!(state.len() <= 8 * limit as usize);
            }
        }
    }

    #[test]
    fn an_exact_window_is_exact_over_threads() {
        let (state, window) = (std::sync::Mutex::new(Vec::new()), ExactWindow::new(100, Duration::from_secs(1)));
        let count = |now| {
            let one = || {
                let before = state.lock().unwrap().clone();
                let after = window.count(&before, now).ok()?;
                // As a compare-and-swap of shared data: `None` if another thread was faster.
                let mut stored = state.lock().unwrap();
                Some(*stored == before).filter(|is_same| *is_same).map(|_| *stored = after)
            };
            (0..400).filter(|_| one().is_some()).count()
        };
        for (now, expected) in [(at(0), 100), (at(999), 0), (at(1000), 100)] {
            let allowed: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| count(now))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(allowed, expected, "{now:?}");
        }
    }

    #[test]
    fn an_exact_window_accepts_any_state_and_clock() {
        let mut generator = Generator::new(13);
        for _ in 0..2000 {
            let limit = u32::try_from(generator.below(5)).unwrap();
            let length = generator.below(60);
            let window = ExactWindow::new(limit, Duration::from_millis(generator.next() % 9));
            match window.count(&generator.bytes(length), Duration::from_millis(generator.next() % 99)) {
                Ok(state) => assert!(state.len() <= 8 * limit as usize),
                Err(wait) => assert!(limit == 0 || wait <= Duration::from_millis(9)),
            }
        }
        assert_eq!(ExactWindow::new(0, Duration::MAX).count(b"", Duration::MAX), Err(Duration::MAX));
        let window = ExactWindow::new(u32::MAX, Duration::MAX);
        let mut state = Vec::new();
        for _ in 0..ExactWindow::MAX_LIMIT {
            state = window.count(&state, Duration::MAX).unwrap();
        }
        assert!(window.count(&state, Duration::MAX).is_err());
    }
    #[test]
    fn a_fixed_window_begins_empty_and_a_late_worker_counts_in_the_next() {
        let limit = FixedWindow::new(2, Duration::from_secs(10));
        let at = Duration::from_secs;
        let (window, used) = (7_u64, 1_u32);
        let state = [&window.to_le_bytes()[..], &used.to_le_bytes()].concat();
        for (now, expected_window, remaining, ends_after) in
            [(75, 7, 0, 5), (79, 7, 0, 1), (80, 8, 1, 10), (69, 7, 0, 11), (59, 5, 1, 1), (1000, 100, 1, 10)]
        {
            let counted = limit.count(&state, at(now));
            let found = (counted.is_allowed, counted.window, counted.remaining, counted.ends_after);
            assert_eq!(found, (true, expected_window, remaining, at(ends_after)), "{now}");
        }
        let full = limit.count(&state, at(70)).state;
        let refused = limit.count(&full, at(71));
        assert_eq!((refused.is_allowed, refused.remaining, &refused.state), (false, 0, &full));
    }

    #[test]
    fn a_fixed_window_counts_a_batch_as_a_whole() {
        let (limit, now) = (FixedWindow::new(10, Duration::from_secs(10)), Duration::from_secs(42));
        let mut state = Vec::new();
        for (requests, is_allowed, remaining) in
            [(4, true, 6), (7, false, 6), (u32::MAX, false, 6), (6, true, 0), (1, false, 0), (0, true, 0)]
        {
            let counted = limit.count_batch(&state, requests, now);
            assert_eq!((counted.is_allowed, counted.remaining), (is_allowed, remaining), "{requests}");
            assert_eq!(counted.result(), if is_allowed { Ok(()) } else { Err(Duration::from_secs(8)) });
            state = counted.state.to_vec();
        }
    }

    #[test]
    fn reserves_of_a_fixed_window_stay_within_the_stated_bound_with_a_clock_that_a_tick_reads() {
        let (limit, batch, tick) = (FixedWindow::new(100, Duration::from_secs(1)), 7, 50);
        let mut state = Vec::new();
        let mut machines = [Reserve::new(batch, Duration::from_secs(1)); 3];
        let mut allowed = [0_u64; 6];
        for time in 0..6000 {
            let ticked = at(time - time % tick);
            for machine in &mut machines {
                let taken = machine.take(ticked, |requests| {
                    let counted = limit.count_batch(&state, u32::try_from(requests).unwrap(), at(time));
                    if counted.is_allowed {
                        state = counted.state.to_vec();
                    }
                    Ok::<_, ()>(counted.result())
                });
                allowed[usize::try_from(time / 1000).unwrap()] += u64::from(taken.unwrap().is_ok());
            }
        }
        for count in allowed {
            assert!(count <= 100 + 3 * (batch - 1) && count + 4 * batch >= 100, "{allowed:?}");
        }
    }

    #[test]
    fn nanoseconds_stop_at_their_maximum() {
        for (time, expected) in [
            (Duration::ZERO, 0),
            (Duration::new(7, 3), 7_000_000_003),
            (Duration::from_secs(18_446_744_072), 18_446_744_072_000_000_000),
            (Duration::from_secs(18_446_744_074), u64::MAX),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(nanoseconds(time), expected, "{time:?}");
        }
    }

    #[test]
    fn a_fixed_window_ignores_bytes_that_are_no_state_and_has_no_overflow() {
        for length in [0, 1, 8, 11, 13, 100] {
            let counted =
                FixedWindow::new(1, Duration::from_secs(1)).count(&vec![0xff; length], Duration::from_secs(5));
            assert_eq!((counted.is_allowed, counted.window), (true, 5), "{length}");
        }
        for limit in [0, 1, u32::MAX] {
            for window in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                for now in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                    for state in [&[][..], &[0xff; 12], &[0; 12]] {
                        let counted = FixedWindow::new(limit, window).count(state, now);
                        assert_eq!(counted.state.len(), 12);
                        assert!(limit > 0 || !counted.is_allowed);
                    }
                }
            }
        }
    }
}
