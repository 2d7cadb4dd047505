//! Timers that are shorter or longer than a host can count.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::Host;
use std::time::{Duration, SystemTime};

#[path = "../guests/examples/timers.rs"]
mod guest;

const DAY: u64 = 24 * 3600;

#[proxy_filter_host::test(guest = "timers", module = guest)]
fn a_fraction_of_a_millisecond_is_rounded_up(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/1").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["1 ns are over"]), "{exchange}");
    let exchange = host.get("/0/999999/1000001").send();
    let expected = ["0 ns are over", "999999 ns are over", "1000001 ns are over"];
    assert_eq!((exchange.status(), exchange.messages()), (200, expected.to_vec()), "{exchange}");
}

#[proxy_filter_host::test(guest = "timers", module = guest)]
fn an_endless_timer_does_not_delay_others(mut host: Host) {
    host.configure(u64::MAX).unwrap();
    let exchange = host.get("/1000000").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["1000000 ns are over"]), "{exchange}");
}

/// This takes too long for a real Envoy.
#[proxy_filter_host::test(guest = "timers", module = guest, embedded)]
fn a_timer_above_the_49_days_of_a_host_completes_when_it_is_due(mut host: Host) {
    host.configure(120 * DAY).unwrap();
    assert!(host.advance(Duration::from_secs(119 * DAY)).messages().is_empty());
    let expected = format!("{} seconds are over", 120 * DAY);
    let exchange = host.advance(Duration::from_secs(2 * DAY));
    assert_eq!(exchange.messages(), [expected], "{exchange}");
}

/// Times at which the wall clock is set, in milliseconds since the plugin started, and the
/// difference in seconds.
fn settings() -> impl Iterator<Item = (u64, i64)> {
    let steps = [-1_000_000_000, -3_600, -30, -2, 10, 3_600, 1_000_000_000];
    steps.into_iter().flat_map(|step| [0, 500, 3_000, 5_500, 9_500].map(|at| (at, step)))
}

/// Returns a plugin's log lines within 20 seconds, with the times in milliseconds, while the clock
/// is set.
fn logged(host: &mut Host, configuration: &str, at: u64, step: i64) -> Vec<(u64, String)> {
    const STEP: u64 = 500;
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    host.clock(start);
    host.configure(configuration).unwrap();
    let mut logged = Vec::new();
    for time in (0..20_000).step_by(500) {
        if time == at {
            let by = Duration::from_secs(step.unsigned_abs());
            let now = start + Duration::from_millis(time);
            host.clock(if step < 0 { now - by } else { now + by });
        }
        let exchange = host.advance(Duration::from_millis(STEP));
        let lines = exchange.messages().into_iter().map(|line| (time + STEP, line.to_owned()));
        logged.extend(lines.collect::<Vec<_>>());
    }
    logged
}

#[proxy_filter_host::test(guest = "timers", module = guest, embedded)]
fn a_clock_that_is_set_moves_no_timer_and_no_interval(mut host: Host) {
    let intervals = [3, 6, 9, 12, 15, 18].map(|time| (time * 1000, "3 seconds are over again"));
    let timers = [(10_000, "10 seconds are over"), (17_000, "17 seconds are over")];
    let mut expected = [&intervals[..], &timers].concat();
    expected.sort_unstable();
    for (at, step) in settings() {
        let logged = logged(&mut host, "10, every 3, 17", at, step);
        let logged: Vec<(u64, &str)> = logged.iter().map(|(time, line)| (*time, line.as_str())).collect();
        assert_eq!(logged, expected, "{step} s after {at} ms");
    }
}

#[proxy_filter_host::test(guest = "ticks", embedded)]
fn a_clock_that_is_set_moves_no_tick_of_a_root_task(mut host: Host) {
    let expected = [3, 6, 9, 10, 12, 15, 18, 20].map(|time| time * 1000);
    for (at, step) in settings() {
        let logged = logged(&mut host, "null", at, step);
        let logged: Vec<u64> = logged.iter().map(|(time, _)| *time).collect();
        assert_eq!(logged, expected, "{step} s after {at} ms");
    }
}

/// Returns the number of the request during which a root context's timer completes, if the clock is
/// set before the fiftieth.
fn over_during(host: &mut Host, step: i64) -> u32 {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let by = Duration::from_secs(step.unsigned_abs());
    host.clock(start);
    host.configure("10").unwrap();
    for request in 0..100 {
        if request == 50 {
            host.clock(if step < 0 { start - by } else { start + by });
        }
        let exchange = host.get("/20000000").send();
        assert_eq!(exchange.messages().first(), Some(&"20000000 ns are over"), "{exchange}");
        let later = host.advance(Duration::from_millis(100));
        if exchange.messages().len() + later.messages().len() > 1 {
            return request;
        }
    }
    100
}

#[proxy_filter_host::test(guest = "timers", module = guest, embedded)]
fn a_clock_that_is_set_between_two_timers_costs_others_no_more_than_the_time_between_them(mut host: Host) {
    let expected = over_during(&mut host, 0);
    assert!((51..99).contains(&expected), "{expected}");
    for step in [-1_000_000_000, -3_600, 3_600, 1_000_000_000] {
        let over = over_during(&mut host, step);
        assert!((expected..=expected + 1).contains(&over), "{step}: {over} instead of {expected}");
    }
}
