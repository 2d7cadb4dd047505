//! Updates of shared values that wait for their turn.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::LogLevel;
use proxy_filter_host::{Host, build_guest};
use std::path::Path;
use std::time::Duration;

#[path = "../guests/examples/patience.rs"]
mod guest;

/// What was said about an update, and the value then.
fn ask(host: &mut Host, path: &str) -> (String, String) {
    let exchange = host.get(path).send();
    let upstream = exchange.upstream().unwrap();
    let value = |name| upstream.header(name).unwrap_or_default().to_string();
    (value("x-said"), value("x-value"))
}

#[proxy_filter_host::test(guest = "patience", module = guest)]
fn an_update_that_loses_again_and_again_waits_and_wins(mut host: Host) {
    host.log_level(LogLevel::Info);
    host.configure("0").unwrap();
    let updated = |value: &str| ("updated".to_owned(), value.to_owned());
    assert_eq!(ask(&mut host, "/patient/0"), updated("1"));
    assert_eq!(ask(&mut host, "/patient/9"), updated("2"), "in the first round");
    assert_eq!(ask(&mut host, "/patient/10"), updated("3"), "after a millisecond");
    assert_eq!(ask(&mut host, "/patient/55"), updated("4"), "after five pauses");
    assert_eq!(ask(&mut host, "/count/6"), updated("10"));
}

#[proxy_filter_host::test(guest = "patience", module = guest)]
fn haste_ends_after_a_thousand_attempts(mut host: Host) {
    host.log_level(LogLevel::Info);
    host.configure("0").unwrap();
    assert_eq!(ask(&mut host, "/hasty/999"), ("updated".into(), "1".into()));
    let (said, value) = ask(&mut host, "/hasty/1000");
    assert!(said.starts_with("other threads have changed") && value == "1", "{said}: {value}");
}

/// This takes more than six seconds, which only the embedded host has.
#[test]
fn patience_ends_too() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = build_guest(directory, "proxy-filter-guests", Some("patience")).unwrap();
    let mut host = Host::for_module(&std::fs::read(module).unwrap());
    host.configure("0").unwrap();
    let exchange = host.get("/patient/1000").leave_after(Duration::from_secs(9)).send();
    let upstream = exchange.upstream().unwrap();
    assert!(upstream.header("x-said").unwrap().starts_with(b"other threads have changed"), "{exchange}");
    assert_eq!(upstream.header("x-value"), Some("0".into()), "nothing was written");
}

#[proxy_filter_host::test(guest = "patience")]
fn no_update_of_any_vm_is_lost(mut host: Host) {
    host.workers(2);
    host.configure("60").unwrap();
    for round in 0..6 {
        let (said, _) = ask(&mut host, ["/patient/15", "/count/1"][round % 2]);
        assert_eq!(said, "updated");
    }
    // At the most 60 rounds of 3 ms, and of 7 ms in which it loses.
    let _ = host.advance(Duration::from_secs(2));
    assert_eq!(ask(&mut host, "/check/6").0, "nothing was lost");
    let updated = host.metric("updated").unwrap();
    assert!(updated >= 180, "the main thread and both workers: {updated}");
}
