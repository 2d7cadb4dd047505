//! A circuit breaker: stops calls to a service that fails, and tries again later.
//!
//! Each VM has its own breaker. Times are durations since any fixed point, usually 1970. The filter
//! passes the current time to each call.
//!
//! ```
//! use proxy_filter_kit::circuit_breaker::{CircuitBreaker, Settings};
//! use std::time::Duration;
//!
//! let mut breaker = CircuitBreaker::new(Settings::default());
//! let now = Duration::from_secs(1_700_000_000);
//! match breaker.allow(now) {
//!     Ok(permit) => {
//!         let is_fine = true; // send the call, and await its response
//!         breaker.report(permit, is_fine, now);
//!     }
//!     Err(open) => println!("503, retry-after: {}", open.retry_after.as_secs()),
//! }
//! ```

use core::fmt;
use core::time::Duration;

/// The conditions under which a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The number of consecutive failures that opens the breaker. Defaults to 5; 0 disables the
    /// condition.
    pub consecutive_failures: u32,
    /// The ratio of failed calls within `window`, from 0 to 1, that opens the breaker. Defaults to
    /// 0.5; more than 1 disables the condition.
    pub failure_ratio: f64,
    /// The number of calls that must have ended within `window` before the ratio counts. Defaults
    /// to 20.
    pub minimum_calls: u32,
    /// The time over which the ratio is counted. Defaults to 10 seconds. The counters then start
    /// again from 0.
    pub window: Duration,
    /// The time for which the breaker stays open. Defaults to 5 seconds. A permit of the half-open
    /// state that is not reported within this time expires.
    pub open_for: Duration,
    /// The number of concurrent calls in the half-open state, and of successes that close the
    /// breaker. Defaults to 1; 0 counts as 1.
    pub probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            minimum_calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
            probes: 1,
        }
    }
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Calls are allowed.
    Closed,
    /// No call is allowed.
    Open,
    /// A few calls are allowed as probes.
    HalfOpen,
}

/// A permit for one call. Pass its result to [`report`](CircuitBreaker::report). If the stream ends
/// before the result, drop the permit.
#[derive(Debug)]
#[must_use = "report the result of the call"]
pub struct Permit {
    generation: u64,
}

/// The error of a call that is not allowed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// The time until a call may be allowed.
    pub retry_after: Duration,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit breaker is open for {} ms", self.retry_after.as_millis())
    }
}

impl std::error::Error for Open {}

/// A circuit breaker: see the [module](self).
#[derive(Debug)]
pub struct CircuitBreaker {
    settings: Settings,
    phase: Phase,
    /// Changes with each change of the state: reports of earlier calls are ignored.
    generation: u64,
}

#[derive(Debug)]
enum Phase {
    Closed { since: Duration, calls: u32, failures: u32, in_a_row: u32 },
    Open { until: Duration },
    HalfOpen { allowed: u32, succeeded: u32, last: Duration },
}

impl CircuitBreaker {
    /// Creates a closed breaker.
    pub fn new(settings: Settings) -> Self {
        let phase = Phase::Closed { since: Duration::ZERO, calls: 0, failures: 0, in_a_row: 0 };
        Self { settings, phase, generation: 0 }
    }

    /// Returns the state after the last call of a method.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Allows a call, or returns the time until one may be allowed.
    ///
    /// # Errors
    /// Fails if the breaker is open, or half open with all probes in flight.
    pub fn allow(&mut self, now: Duration) -> Result<Permit, Open> {
        let open_for = self.settings.open_for;
        if let Phase::Open { until } = self.phase {
            // If the clock was set back, the wait is limited to one pause.
            let retry_after = until.saturating_sub(now).min(open_for);
            if !retry_after.is_zero() {
                self.phase = Phase::Open { until: now.saturating_add(retry_after) };
                return Err(Open { retry_after });
            }
            self.enter(Phase::HalfOpen { allowed: 0, succeeded: 0, last: now });
        }
        let probes = self.settings.probes.max(1);
        if let Phase::HalfOpen { allowed, last, succeeded } = &mut self.phase {
            if *allowed >= probes {
                let retry_after = last.saturating_add(open_for).saturating_sub(now).min(open_for);
                if !retry_after.is_zero() {
                    return Err(Open { retry_after });
                }
                // Probes that were not reported within this time were dropped.
                *allowed = *succeeded;
            }
            *allowed = allowed.saturating_add(1);
            *last = now;
        }
        Ok(Permit { generation: self.generation })
    }

    /// Records the result of an allowed call. A failure is a result that shows that the service is
    /// unhealthy: a timeout, a reset, a 503. A 404 is a success.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is reported once")]
    pub fn report(&mut self, permit: Permit, is_success: bool, now: Duration) {
        let Permit { generation } = permit;
        if generation != self.generation {
            return;
        }
        let settings = self.settings;
        let opens = match &mut self.phase {
            Phase::Open { .. } => false,
            Phase::HalfOpen { succeeded, .. } => {
                *succeeded = succeeded.saturating_add(u32::from(is_success));
                if is_success && *succeeded >= settings.probes.max(1) {
                    self.enter(Phase::Closed { since: now, calls: 0, failures: 0, in_a_row: 0 });
                }
                !is_success
            }
            Phase::Closed { since, calls, failures, in_a_row } => {
                if now.saturating_sub(*since) >= settings.window || now < *since {
                    (*since, *calls, *failures) = (now, 0, 0);
                }
                *calls = calls.saturating_add(1);
                *failures = failures.saturating_add(u32::from(!is_success));
                *in_a_row = if is_success { 0 } else { in_a_row.saturating_add(1) };
                let in_a_row = settings.consecutive_failures > 0 && *in_a_row >= settings.consecutive_failures;
                let ratio = *calls >= settings.minimum_calls
                    && f64::from(*failures) >= settings.failure_ratio * f64::from(*calls);
                !is_success && (in_a_row || ratio)
            }
        };
        if opens {
            self.enter(Phase::Open { until: now.saturating_add(settings.open_for) });
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn breaker(change: impl FnOnce(&mut Settings)) -> CircuitBreaker {
        let mut settings = Settings { consecutive_failures: 3, open_for: at(1000), ..Settings::default() };
        change(&mut settings);
        CircuitBreaker::new(settings)
    }

    fn call(breaker: &mut CircuitBreaker, is_success: bool, now: Duration) {
        let permit = breaker.allow(now).unwrap();
        breaker.report(permit, is_success, now);
    }

    fn opened() -> CircuitBreaker {
        let mut breaker = breaker(|_| {});
        for _ in 0..3 {
            assert_eq!(breaker.state(), State::Closed);
            call(&mut breaker, false, at(0));
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_the_breaker() {
        let mut breaker = breaker(|_| {});
        for is_success in [false, false, true, false, false] {
            call(&mut breaker, is_success, at(0));
        }
        assert_eq!(breaker.state(), State::Closed);
        call(&mut breaker, false, at(0));
        assert_eq!(breaker.allow(at(400)).unwrap_err(), Open { retry_after: at(600) });
    }

    #[test]
    fn a_ratio_of_failures_opens_the_breaker_once_there_are_enough_calls() {
        let mut breaker = breaker(|settings| (settings.consecutive_failures, settings.minimum_calls) = (0, 10));
        for number in 0..9 {
            call(&mut breaker, number % 2 == 0, at(number));
        }
        assert_eq!(breaker.state(), State::Closed);
        call(&mut breaker, false, at(9));
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn failures_of_another_window_do_not_count() {
        let mut breaker = breaker(|settings| (settings.consecutive_failures, settings.minimum_calls) = (0, 2));
        call(&mut breaker, false, at(0));
        call(&mut breaker, false, at(10_000));
        assert_eq!(breaker.state(), State::Closed);
        call(&mut breaker, false, at(10_001));
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn a_probe_closes_or_opens_it_again() {
        for is_success in [true, false] {
            let mut breaker = opened();
            let probe = breaker.allow(at(1000)).unwrap();
            assert_eq!(breaker.state(), State::HalfOpen);
            assert_eq!(breaker.allow(at(1200)).unwrap_err().retry_after, at(800), "one probe at a time");
            breaker.report(probe, is_success, at(1300));
            assert_eq!(breaker.state(), if is_success { State::Closed } else { State::Open });
            assert_eq!(breaker.allow(at(1301)).is_ok(), is_success);
        }
    }

    #[test]
    fn several_probes_must_all_succeed() {
        let mut breaker = breaker(|settings| (settings.consecutive_failures, settings.probes) = (1, 2));
        call(&mut breaker, false, at(0));
        let (one, two) = (breaker.allow(at(1000)).unwrap(), breaker.allow(at(1000)).unwrap());
        breaker.report(one, true, at(1001));
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.report(two, true, at(1001));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_probe_that_is_dropped_does_not_keep_it_open() {
        let mut breaker = opened();
        drop(breaker.allow(at(1000)).unwrap());
        assert!(breaker.allow(at(1999)).is_err());
        let probe = breaker.allow(at(2000)).unwrap();
        breaker.report(probe, true, at(2000));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn calls_that_began_before_it_opened_do_not_count() {
        let mut breaker = breaker(|_| {});
        let old: Vec<Permit> = (0..6).map(|_| breaker.allow(at(0)).unwrap()).collect();
        let mut old = old.into_iter();
        for permit in old.by_ref().take(3) {
            breaker.report(permit, false, at(1));
        }
        let probe = breaker.allow(at(1001)).unwrap();
        for permit in old {
            breaker.report(permit, true, at(1002));
        }
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.report(probe, true, at(1002));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_it_open_for_one_pause_at_most() {
        let mut breaker = breaker(|settings| settings.consecutive_failures = 1);
        call(&mut breaker, false, at(1_000_000));
        assert_eq!(breaker.allow(at(0)).unwrap_err().retry_after, at(1000));
        assert!(breaker.allow(at(1000)).is_ok());
    }
}
