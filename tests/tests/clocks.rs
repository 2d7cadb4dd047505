//! Time and random bytes in a test: fixed in the embedded host, and left out of the comparison with
//! a real Envoy.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome};
use std::time::{Duration, SystemTime};

#[path = "../guests/examples/signed.rs"]
mod guest;

/// The seconds since 1970 that the filter signed.
fn signed(exchange: &Outcome) -> u64 {
    exchange.upstream().unwrap().header("x-time").unwrap().to_str().unwrap().parse().unwrap()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Starts the filter, and ignores what differs in each run. The names are those of the headers,
/// which the log lines end with.
fn start_comparable(host: &mut Host) {
    for name in ["x-time", "x-nonce", "time", "nonce"] {
        host.ignore_value_of(name);
    }
    host.configure("null").unwrap();
}

#[proxy_filter_host::test(guest = "signed", module = guest)]
fn a_filter_that_signs_is_compared_without_the_values_that_are_ignored(mut host: Host) {
    start_comparable(&mut host);
    let before = seconds(host.now());
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.response().header("x-signed")), (200, Some("1".into())), "{exchange}");
    assert!((before..=seconds(host.now())).contains(&signed(&exchange)), "{exchange}");
}

#[proxy_filter_host::test(guest = "signed", module = guest)]
fn the_date_of_a_response_is_what_the_clock_says(mut host: Host) {
    start_comparable(&mut host);
    let before = seconds(host.now());
    let exchange = host.get("/").send();
    let date = exchange.response().header("date").unwrap();
    let date = seconds(httpdate::parse_http_date(date.to_str().unwrap()).unwrap());
    assert!((before..=seconds(host.now())).contains(&date), "{exchange}");
}

#[proxy_filter_host::test(guest = "signed", module = guest, embedded)]
fn a_date_that_no_field_can_name_is_the_last_one(mut host: Host) {
    host.configure("null").unwrap();
    for (seconds, date) in
        [(5, "Thu, 01 Jan 1970 00:00:05 GMT"), (u64::from(u32::MAX) * 100, "Fri, 31 Dec 9999 23:59:59 GMT")]
    {
        host.clock(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let exchange = host.get("/").send();
        assert_eq!(exchange.response().header("date"), Some(date.into()), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "signed", module = guest, embedded)]
fn time_and_random_bytes_are_the_same_in_each_run(mut host: Host) {
    host.configure("null").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.messages(), ["signed: time=1750000000, nonce=59ac5a68d6a61dc1"], "{exchange}");
    let _later = host.advance(Duration::from_secs(60));
    assert_eq!(signed(&host.get("/").send()), 1_750_000_060);
    host.clock(SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!(signed(&host.get("/").send()), 5);
    host.configure("null").unwrap();
    assert_eq!((signed(&host.get("/").send()), seconds(host.now())), (5, 5), "a plugin that starts again");
}
