//! Filters of one chain that pause parts of a message, one after the other and at the same time.
//! Each behaves as if it were alone.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Two filters, `a` and `b`, which call clusters that respond after these times.
fn two(host: &mut Host, a: u64, b: u64) {
    host.cluster("for-a", move |_| Reply::new(200).after(ms(a)));
    host.cluster("for-b", move |_| Reply::new(200).after(ms(b)));
    host.plugin("", "b for-b");
    host.configure("a for-a").unwrap();
    host.upstream(|request| Reply::new(200).chunks([request.text(), "!".into()]));
}

fn post(host: &mut Host, a: &str, b: &str) -> Outcome {
    host.post("/").header("x-a", a).header("x-b", b).chunks(["one", "two"]).send()
}

const HOLDS: [&str; 6] =
    ["request-headers", "request-buffer", "request-body", "response-headers", "response-buffer", "response-body"];

/// Returns the bodies that the upstream and the client received.
fn bodies(exchange: &Outcome) -> (String, String) {
    (exchange.upstream().unwrap().text(), exchange.response().text())
}

/// Returns the name if the part is paused.
fn when(name: &'static str, held: &str, parts: &[&str]) -> &'static str {
    if parts.contains(&held) { name } else { "" }
}

#[proxy_filter_host::test(guest = "chain")]
fn the_first_filter_may_pause_each_part(mut host: Host) {
    two(&mut host, 220, 20);
    for held in HOLDS {
        let exchange = post(&mut host, held, "");
        assert_eq!(exchange.status(), 200, "{held}: {exchange}");
        let request = format!("onetwo{}", when("a", held, &["request-buffer", "request-body"]));
        let response = format!("{request}!{}", when("a", held, &["response-buffer", "response-body"]));
        assert_eq!(bodies(&exchange), (request, response), "{held}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn the_second_filter_may_pause_each_part(mut host: Host) {
    two(&mut host, 20, 220);
    for held in HOLDS {
        let exchange = post(&mut host, "", held);
        assert_eq!(exchange.status(), 200, "{held}: {exchange}");
        let request = format!("onetwo{}", when("b", held, &["request-buffer", "request-body"]));
        let response = format!("{request}!{}", when("b", held, &["response-buffer", "response-body"]));
        assert_eq!(bodies(&exchange), (request, response), "{held}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn both_filters_may_pause_the_same_part_in_turn(mut host: Host) {
    two(&mut host, 220, 320);
    for held in HOLDS {
        let exchange = post(&mut host, held, held);
        assert_eq!(exchange.status(), 200, "{held}: {exchange}");
        let request = format!("onetwo{}", when("ab", held, &["request-buffer", "request-body"]));
        let response = format!("{request}!{}", when("ba", held, &["response-buffer", "response-body"]));
        assert_eq!(bodies(&exchange), (request, response), "{held}: {exchange}");
        let marks = exchange.response().header_values("x-held").len();
        assert_eq!(marks, if held == "response-headers" { 2 } else { 0 }, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn a_pause_of_the_last_filter_keeps_no_chunk_from_the_one_before(mut host: Host) {
    two(&mut host, 420, 420);
    for (a, b, piece, let_go) in [
        ("", "request-headers", "a request body one false", "b lets request headers go"),
        ("response-headers", "", "b response body onetwo false", "a lets response headers go"),
    ] {
        let exchange = post(&mut host, a, b);
        let at = |line: &str| exchange.messages().iter().position(|found| *found == line);
        assert!(at(piece).is_some() && at(piece) < at(let_go), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain", embedded)]
#[should_panic(expected = "Envoy 1.40 has one buffer for both")]
fn continuing_past_a_body_that_another_filter_buffers_is_a_violation(mut host: Host) {
    two(&mut host, 220, 520);
    let exchange = post(&mut host, "response-headers", "response-body");
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn in_envoy_a_body_that_the_other_filter_buffers_is_forwarded_unedited() {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("chain")).unwrap();
    let mut host = Host::in_envoy(&module).unwrap();
    two(&mut host, 220, 520);
    let exchange = post(&mut host, "response-headers", "response-body");
    assert_eq!(exchange.response().text(), "onetwo!", "without the `b` that the filter adds: {exchange}");
    assert!(!exchange.messages().contains(&"b lets response body go: onetwo!"), "{exchange}");
}

#[proxy_filter_host::test(guest = "chain")]
fn different_parts_are_paused_at_the_same_time(mut host: Host) {
    two(&mut host, 230, 530);
    for (a, b) in [
        ("request-headers,response-body", "request-body,response-headers"),
        ("request-body,response-body", "response-headers,request-trailers"),
        ("request-buffer", "request-headers,response-buffer"),
    ] {
        let exchange = post(&mut host, a, b);
        assert_eq!(exchange.status(), 200, "{a}; {b}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn each_filter_pauses_trailers(mut host: Host) {
    two(&mut host, 220, 320);
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    for (a, b) in [
        ("request-trailers,response-trailers", ""),
        ("", "request-trailers,response-trailers"),
        ("request-trailers,response-trailers", "request-trailers,response-trailers"),
        ("request-body,response-body", "request-trailers,response-trailers"),
        ("request-headers,response-headers", "request-headers,response-headers"),
    ] {
        let request = host.post("/").header("x-a", a).header("x-b", b).chunks(["one"]).trailer("x-t", "1");
        let exchange = request.send();
        assert_eq!(exchange.status(), 200, "{a}; {b}: {exchange}");
        let held = usize::from(a.contains("request-trailers")) + usize::from(b.contains("request-trailers"));
        assert_eq!(exchange.response().trailer("x-held").is_some(), held > 0, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn a_local_reply_of_either_filter_runs_through_both_response_callbacks(mut host: Host) {
    two(&mut host, 220, 320);
    for (a, b, status) in [
        ("request-headers,reply", "", 403),
        ("", "request-headers,reply", 403),
        ("response-headers", "request-headers,reply,response-buffer", 403),
        ("", "response-headers,late-reply", 502),
        ("response-headers,late-reply", "", 502),
    ] {
        let exchange = post(&mut host, a, b);
        assert_eq!(exchange.status(), status, "{a}; {b}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "chain")]
fn each_filter_pauses_a_message_of_headers_only(mut host: Host) {
    two(&mut host, 120, 220);
    host.upstream(|_| Reply::new(204));
    let exchange = host
        .get("/")
        .header("x-a", "request-headers,response-headers")
        .header("x-b", "request-headers,response-headers")
        .send();
    assert_eq!(exchange.status(), 204, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header_values("x-held"), ["a", "b"], "{exchange}");
    assert_eq!(exchange.response().header_values("x-held"), ["b", "a"], "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn trailers_that_one_filter_adds_reach_the_next(mut host: Host) {
    host.plugin("", "");
    host.configure("").unwrap();
    host.upstream(|_| Reply::new(200).chunks(["body"]));
    let request = host.post("/").header("x-request-body", "add 1 x-added 1").header("x-request-trailers", "pairs 1");
    let request = request.header("x-response-body", "add 3 x-added 1").header("x-response-trailers", "pairs 3");
    let exchange = request.chunks(["one"]).send();
    assert!(exchange.messages().contains(&"pairs: x-added: 1"), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().trailer("x-added"), Some("1".into()), "{exchange}");
    assert_eq!(exchange.response().trailer("x-added"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn trailers_added_to_a_forwarded_body_cause_one_callback(mut host: Host) {
    host.plugin("", "");
    host.configure("").unwrap();
    let request = host.post("/").header("x-request-body", "add 1 x-added 1").header("x-request-trailers", "pairs 1");
    let exchange = request.body("one").http2().send();
    assert_eq!(exchange.messages(), ["pairs: x-added: 1"], "{exchange}");
    assert_eq!(exchange.upstream().unwrap().trailer("x-added"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "chain")]
fn a_response_body_that_is_buffered_is_lost_if_a_filter_before_adds_trailers(mut host: Host) {
    two(&mut host, 20, 20);
    // A response reaches `b` first.
    let exchange = post(&mut host, "response-buffer", "response-add");
    let response = exchange.response();
    assert_eq!((response.status(), response.text().as_str(), response.complete), (200, "", false), "{exchange}");
    for (a, b) in [("response-add", "response-buffer"), ("request-add", "request-buffer")] {
        let exchange = post(&mut host, a, b);
        let (request, response) = (exchange.upstream().unwrap(), exchange.response());
        assert!(request.complete && response.complete, "{a}: {exchange}");
        let added = [request, response].map(|message| message.trailer("x-added").is_some());
        assert_eq!(added, [a == "request-add", a == "response-add"], "{a}: {exchange}");
        assert!(response.text().contains('b'), "{a}: {exchange}");
    }
}
