//! Functions with a deadline.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Received, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

#[path = "../guests/examples/deadlines.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a host whose upstream and service respond after these times.
fn start(host: &mut Host, root_id: &str, upstream: u64, service: u64) {
    // In a real Envoy, ticks are at other times, with the same effects.
    host.log_level(LogLevel::Info);
    host.root_id(root_id);
    host.cluster("service", move |_: &Received| Reply::new(200).after(ms(service)));
    host.upstream(move |_| Reply::new(200).chunks(["one", "two"]).after(ms(upstream)));
    host.configure("null").unwrap();
}

fn failure(consequence: &str) -> String {
    format!("`NAME` has not returned within its deadline of 200 ms; {consequence}")
}

/// The lines without the number of the context.
fn lines(messages: Vec<&str>) -> Vec<String> {
    let line = |line: &str| line.split_once(" failed: ").map_or(line, |(_, why)| why).to_owned();
    messages.into_iter().map(line).collect()
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn a_function_that_completes_in_time_is_unaffected(mut host: Host) {
    start(&mut host, "closed", 20, 20);
    for path in ["/", "/call", "/response", "/pieces"] {
        let exchange = host.get(path).send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (200, "onetwo"), "{exchange}");
        assert_eq!(exchange.messages(), [format!("given up: {path}")], "{exchange}");
    }
    let exchange = host.get("/end").send();
    assert_eq!(exchange.messages(), ["the end", "given up: /end"], "{exchange}");
    assert!(host.advance(ms(400)).messages().is_empty());
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn a_function_that_takes_too_long_is_dropped_and_refuses_the_stream(mut host: Host) {
    start(&mut host, "closed", 700, 700);
    for path in ["/call", "/response", "/never"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 500, "{exchange}");
        let failure = failure("the client gets a 500").replace("NAME", "bounded");
        assert_eq!(lines(exchange.messages()), [format!("given up: {path}"), failure], "{exchange}");
        exchange.expect_error("deadline of 200 ms; the client gets a 500");
        let later = host.advance(ms(800));
        assert!(later.messages().is_empty(), "{path}, nothing is delivered later: {later}");
    }
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn a_client_that_is_too_slow_is_refused(mut host: Host) {
    start(&mut host, "closed", 20, 20);
    let exchange = host.post("/body").chunks(["a", "b", "c", "d", "e", "f", "g", "h"]).send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("deadline of 200 ms; the client gets a 500");
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn a_response_whose_headers_were_forwarded_is_reset(mut host: Host) {
    start(&mut host, "closed", 20, 20);
    host.upstream(|_| Reply::new(200).chunks(["1", "2", "3", "4", "5", "6", "7", "8"]));
    let exchange = host.get("/pieces").send();
    assert!(exchange.status() == 200 && !exchange.response().complete, "{exchange}");
    let failure = failure("the stream is reset").replace("NAME", "bounded");
    assert_eq!(lines(exchange.messages()), ["given up: /pieces".to_owned(), failure], "{exchange}");
    exchange.expect_error("deadline of 200 ms; the stream is reset");
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn the_open_policy_resumes_the_stream_without_the_function(mut host: Host) {
    start(&mut host, "open", 400, 700);
    for path in ["/call", "/response", "/end"] {
        let exchange = host.get(path).send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (200, "onetwo"), "{exchange}");
        let failure = failure("the stream continues").replace("NAME", "lenient");
        assert_eq!(lines(exchange.messages()), [format!("given up: {path}"), failure], "{exchange}");
        assert_eq!(exchange.response().header("x-seen"), None);
        exchange.expect_error("deadline of 200 ms; the stream continues");
    }
}

#[proxy_filter_host::test(guest = "deadlines", module = guest)]
fn the_time_until_the_plugin_is_ready_counts(mut host: Host) {
    start(&mut host, "gated", 20, 20);
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    let failure = failure("the client gets a 500").replace("NAME", "gated");
    assert_eq!(lines(exchange.messages()), [failure], "{exchange}");
    exchange.expect_error("deadline of 200 ms; the client gets a 500");
}

#[test]
fn only_a_filter_with_a_deadline_pays_for_the_tick() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ticks = |guest: &str| {
        let module = std::fs::read(build_guest(directory, "proxy-filter-guests", Some(guest)).unwrap()).unwrap();
        let has = |name: &str| module.windows(name.len()).any(|window| window == name.as_bytes());
        (has("proxy_on_tick"), has("proxy_set_tick_period_milliseconds"))
    };
    assert_eq!((ticks("deadlines"), ticks("authorize_async")), ((true, true), (false, false)));
}
