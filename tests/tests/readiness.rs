//! Streams are paused until the plugin is ready, with limits of number and time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Received, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

#[path = "../guests/examples/gate.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a host whose service responds with the text of its path.
fn start(host: &mut Host, root_id: &str, path: &str, tries: u32) {
    // Each VM of a real Envoy reports at another time that it cannot become ready.
    host.log_level(LogLevel::Critical);
    host.root_id(root_id);
    host.cluster("service", |call: &Received| match &*call.header(":path").unwrap_or_default() {
        b"/slow" => Reply::new(200).after(ms(300)),
        b"/never" => Reply::new(200).after(ms(50_000)),
        b"/busy" => Reply::new(503),
        _ => Reply::new(200),
    });
    host.configure(format!(r#"{{ "path": "{path}", "tries": {tries} }}"#)).unwrap();
}

fn is_ready(exchange: &Outcome) -> bool {
    exchange.upstream().is_some_and(|upstream| upstream.header("x-ready").is_some())
}

#[proxy_filter_host::test(guest = "gate", module = guest)]
fn a_stream_is_paused_until_the_plugin_is_ready(mut host: Host) {
    for path in ["/quick", "/slow"] {
        start(&mut host, "closed", path, 1);
        for _ in 0..2 {
            let exchange = host.get("/").send();
            assert!(exchange.status() == 200 && is_ready(&exchange), "{exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "gate", module = guest)]
fn a_plugin_whose_configure_fails_refuses_streams(mut host: Host) {
    start(&mut host, "closed", "/busy", 3);
    for _ in 0..2 {
        let exchange = host.get("/").send();
        assert_eq!((exchange.status(), exchange.upstream()), (500, None), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "gate", module = guest)]
fn the_open_policy_forwards_streams_if_configure_fails(mut host: Host) {
    start(&mut host, "open", "/busy", 3);
    let exchange = host.get("/").send();
    assert!(exchange.status() == 200 && !is_ready(&exchange), "{exchange}");
}

fn embedded() -> Host {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    Host::for_module(&std::fs::read(build_guest(directory, "proxy-filter-guests", Some("gate")).unwrap()).unwrap())
}

/// This takes ten seconds, so it runs only in the embedded host.
#[test]
fn a_stream_is_paused_for_at_most_ten_seconds() {
    for (root_id, status) in [("closed", 500), ("open", 200)] {
        let mut host = embedded();
        start(&mut host, root_id, "/never", 1);
        host.log_level(LogLevel::Trace);
        host.configure(r#"{ "path": "/never", "tries": 1 }"#).unwrap();
        let exchange = host.get("/").disconnect_after(ms(9_900)).send();
        assert_eq!(exchange.status(), 0, "it waits: {exchange}");
        assert!(
            exchange.to_string().contains("HTTP call 4 to `service`, GET /never"),
            "the trace says for what: {exchange}"
        );
        let exchange = host.get("/").disconnect_after(ms(10_100)).send();
        assert_eq!(exchange.status(), status, "{exchange}");
        exchange.expect_error("the plugin was not ready in time");
    }
}

/// Each VM repeats the call after a pause that doubles each time.
#[test]
fn a_configure_function_that_fails_is_retried_with_backoff() {
    let mut host = embedded();
    start(&mut host, "closed", "/busy", 4);
    let made = |host: &mut Host, by: u64| host.advance(ms(by)).calls("service").len();
    // During the configuration, and after 20, 60 and 140 ms.
    assert_eq!((made(&mut host, 10), made(&mut host, 30), made(&mut host, 30)), (0, 1, 1));
    assert_eq!((made(&mut host, 50), made(&mut host, 40), made(&mut host, 1000)), (0, 1, 0));
}

/// At most a thousand streams may be paused at a time. Streams that have ended do not count.
#[test]
fn a_disconnected_stream_does_not_count_for_the_limit() {
    let mut host = embedded();
    start(&mut host, "closed", "/never", 1);
    for number in 0..1050 {
        let exchange = host.get("/").disconnect_after(ms(1)).send();
        assert_eq!(exchange.status(), 0, "stream {number} waits: {exchange}");
    }
}
