//! Timers that are shorter than a host can count, and longer.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::Host;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

#[proxy_filter_host::test(guest = "timers")]
fn a_part_of_a_millisecond_is_waited_for(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/1").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["1 ns are over"]), "{exchange}");
    let exchange = host.get("/0/999999/1000001").send();
    let expected = ["0 ns are over", "999999 ns are over", "1000001 ns are over"];
    assert_eq!((exchange.status(), exchange.messages()), (200, expected.to_vec()), "{exchange}");
}

#[proxy_filter_host::test(guest = "timers")]
fn a_timer_for_ever_keeps_no_other_from_its_time(mut host: Host) {
    host.configure(u64::MAX).unwrap();
    let exchange = host.get("/1000000").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["1000000 ns are over"]), "{exchange}");
}

/// No Envoy is asked to run for so long.
#[proxy_filter_host::test(guest = "timers", embedded)]
fn a_timer_beyond_the_49_days_of_a_host_comes_when_it_is_due(mut host: Host) {
    host.configure(120 * DAY).unwrap();
    assert!(host.advance(Duration::from_secs(119 * DAY)).messages().is_empty());
    let expected = format!("{} seconds are over", 120 * DAY);
    let exchange = host.advance(Duration::from_secs(2 * DAY));
    assert_eq!(exchange.messages(), [expected], "{exchange}");
}
