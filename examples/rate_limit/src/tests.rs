//! Who passes, and what workers count together.

use proxy_filter_host::{Exchange, Host, build_guest};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// So long that no test sees the end of a window.
const LONG: u32 = 1_000_000_000;

fn statuses(host: &mut Host, requests: usize) -> Vec<u16> {
    (0..requests).map(|_| host.get("/").send().status()).collect()
}

#[proxy_filter_host::test]
fn requests_above_the_limit_are_refused(mut host: Host) {
    host.configure(json!({ "limit": 3, "window_seconds": LONG })).unwrap();
    assert_eq!(statuses(&mut host, 5), [200, 200, 200, 429, 429]);
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().text(), "slow down\n", "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn clients_are_counted_apart(mut host: Host) {
    host.configure(json!({ "limit": 1, "window_seconds": LONG, "by": "x-api-key" })).unwrap();
    for (key, status) in [("a", 200), ("b", 200), ("a", 429), ("b", 429), ("c", 200)] {
        let exchange = host.get("/").header("x-api-key", key).send();
        assert_eq!(exchange.status(), status, "{key}: {exchange}");
    }
    let nobody: Vec<_> = statuses(&mut host, 2);
    assert_eq!(nobody, [200, 429], "those without a key are one client");
}

#[proxy_filter_host::test]
fn workers_count_together(mut host: Host) {
    host.workers(2);
    host.configure(json!({ "limit": 5, "window_seconds": LONG })).unwrap();
    let passed = (0..8).filter(|number| host.get("/").on_worker(number % 2).send().status() == 200).count();
    assert_eq!(passed, 5);
}

#[proxy_filter_host::test]
fn a_limit_of_nothing_lets_nothing_through(mut host: Host) {
    host.configure(json!({ "limit": 0, "window_seconds": LONG })).unwrap();
    assert_eq!(statuses(&mut host, 2), [429, 429]);
}

#[proxy_filter_host::test]
fn a_window_without_length_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "limit": 1, "window_seconds": 0 })).unwrap_err();
    assert!(refused.to_string().contains("at least one second"), "{refused}");
}

/// The embedded host's clock stands still unless told otherwise. Envoy's does not, and what depends on the time differs.
fn embedded() -> Host {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "rate_limit", None).unwrap();
    Host::for_module(&std::fs::read(module).unwrap())
}

fn number(exchange: &Exchange, header: &str) -> u64 {
    let value = exchange.response().header(header).unwrap_or_else(|| panic!("no {header}: {exchange}"));
    value.to_string().parse().unwrap()
}

#[test]
fn a_new_window_begins_empty() {
    let mut host = embedded();
    host.configure(json!({ "limit": 2, "window_seconds": 10, "announce": true })).unwrap();
    assert_eq!(statuses(&mut host, 3), [200, 200, 429]);
    let refused = host.get("/").send();
    let (window, wait) = (number(&refused, "x-ratelimit-window"), number(&refused, "retry-after"));
    assert!((1..=10).contains(&wait), "{refused}");
    let _ = host.advance(Duration::from_secs(wait));
    let next = host.get("/").send();
    assert_eq!((next.status(), number(&next, "x-ratelimit-window")), (200, window + 1), "{next}");
    assert_eq!((number(&next, "x-ratelimit-limit"), number(&next, "x-ratelimit-remaining")), (2, 1), "{next}");
    assert_eq!(next.response().header("retry-after"), None);
}
