//! Updates of shared values that other threads write at the same time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::Host;
use std::time::Duration;

#[path = "../guests/examples/contention.rs"]
mod guest;

/// Returns the result of an update, and the value after it.
fn ask(host: &mut Host, path: &str) -> (String, String) {
    let exchange = host.get(path).send();
    let upstream = exchange.upstream().unwrap();
    let value = |name| upstream.header(name).unwrap_or_default().to_string();
    (value("x-said"), value("x-value"))
}

#[proxy_filter_host::test(guest = "contention", module = guest)]
fn an_update_fails_with_contention_after_a_thousand_attempts(mut host: Host) {
    host.log_level(LogLevel::Info);
    host.configure("0").unwrap();
    assert_eq!(ask(&mut host, "/once/999"), ("updated".into(), "1".into()));
    let (said, value) = ask(&mut host, "/once/1000");
    assert!(said.starts_with("other threads changed") && value == "1", "{said}: {value}");
}

#[proxy_filter_host::test(guest = "contention", module = guest)]
fn retry_repeats_an_update_that_failed_with_contention(mut host: Host) {
    host.log_level(LogLevel::Info);
    host.configure("0").unwrap();
    let updated = |value: &str| ("updated".to_owned(), value.to_owned());
    assert_eq!(ask(&mut host, "/retried/9"), updated("1"), "without a pause");
    assert_eq!(ask(&mut host, "/retried/2500"), updated("2"), "after two pauses");
    assert_eq!(ask(&mut host, "/count/6"), updated("8"));
}

#[proxy_filter_host::test(guest = "contention")]
fn no_update_of_any_vm_is_lost(mut host: Host) {
    host.workers(2);
    host.configure("60").unwrap();
    for round in 0..6 {
        let (said, _) = ask(&mut host, ["/retried/15", "/count/1"][round % 2]);
        assert_eq!(said, "updated");
    }
    // 60 rounds of 3 ms.
    let _ = host.advance(Duration::from_secs(2));
    assert_eq!(ask(&mut host, "/check/6").0, "nothing was lost");
    let updated = host.metric("updated").unwrap();
    assert!(updated >= 180, "the main thread and both workers: {updated}");
}
