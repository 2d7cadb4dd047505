//! Functions that pause headers until they have seen the body, in hosts that allow it and in hosts
//! that do not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Received, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

#[path = "../guests/examples/held_headers.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a host that does, or does not, call body callbacks while the headers are paused.
fn start(host: &mut Host, allowed: bool) {
    host.log_level(LogLevel::Info);
    host.allow_on_headers_stop_iteration(allowed);
    host.cluster("service", |call: &Received| {
        Reply::new(200).body(call.text().chars().rev().collect::<String>()).after(ms(100))
    });
    host.configure("").unwrap();
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn headers_can_be_edited_after_the_body_was_read(mut host: Host) {
    start(&mut host, true);
    let mut check = |chunks: &[&str]| {
        let request = host.post("/length");
        let exchange = if chunks.len() == 1 { request.body(chunks[0]) } else { request.chunks(chunks) }.send();
        let upstream = exchange.upstream().unwrap();
        assert_eq!(upstream.header("x-length"), Some("5".into()), "{exchange}");
        assert_eq!((upstream.header("x-body"), upstream.text()), (Some("12345".into()), "12345".into()), "{exchange}");
    };
    check(&["12345"]);
    check(&["12", "345"]);
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_message_without_a_body_is_not_paused(mut host: Host) {
    for allowed in [true, false] {
        start(&mut host, allowed);
        let exchange = host.get("/length").send();
        let upstream = exchange.upstream().unwrap();
        assert_eq!((upstream.header("x-length"), upstream.header("x-body")), (Some("0".into()), Some("".into())));
        host.upstream(|_| Reply::new(204));
        let exchange = host.get("/response").send();
        assert_eq!((exchange.status(), exchange.response().header("x-length")), (204, Some("0".into())), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_body_that_ends_with_trailers_is_whole(mut host: Host) {
    start(&mut host, true);
    let exchange = host.post("/length").chunks(["12", "345"]).trailer("x-t", "1").send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!(
        (upstream.header("x-length"), upstream.trailer("x-t")),
        (Some("5".into()), Some("1".into())),
        "{exchange}"
    );
    let exchange = host.post("/judge").chunks(["go", "od"]).trailer("x-t", "1").send();
    assert_eq!(exchange.response().header("x-trailers"), Some("true".into()), "{exchange}");
    let exchange = host.post("/judge").body("good").send();
    assert_eq!(exchange.response().header("x-trailers"), Some("false".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn an_edit_that_changes_the_length_updates_content_length(mut host: Host) {
    start(&mut host, true);
    let exchange = host.post("/longer").body("12345").send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.header("content-length")), ("12345 and more", None), "{exchange}");
    assert_eq!(upstream.header("x-length"), Some("14".into()));
    let exchange = host.post("/upper").body("abc").send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.header("content-length")), ("ABC", Some("3".into())), "{exchange}");
    let exchange = host.get("/longer").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("there is no body here to edit");
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_call_with_the_body_may_precede_the_forwarded_headers(mut host: Host) {
    start(&mut host, true);
    let exchange = host.post("/call").chunks(["ab", "c"]).send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.header("x-answer"), upstream.text()), (Some("cba".into()), "abc".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_request_is_refused_for_its_body_before_it_reaches_the_upstream(mut host: Host) {
    start(&mut host, true);
    let exchange = host.post("/judge").chunks(["bad", " words"]).send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (422, "not this\n"), "{exchange}");
    assert!(exchange.upstream().is_none(), "{exchange}");
    let exchange = host.post("/length").body("x".repeat(101)).send();
    assert_eq!((exchange.status(), exchange.upstream()), (413, None), "above the limit: {exchange}");
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn response_headers_are_paused_for_their_body(mut host: Host) {
    start(&mut host, true);
    for reply in [Reply::new(200).body("12345"), Reply::new(200).chunks(["12", "345"])] {
        host.upstream(move |_| reply.clone());
        let exchange = host.get("/response").send();
        assert_eq!(exchange.response().header("x-length"), Some("5".into()), "{exchange}");
        assert_eq!(exchange.response().text(), "> 12345", "{exchange}");
        let exchange = host.get("/response-call").send();
        assert_eq!(exchange.response().header("x-answer"), Some("54321".into()), "{exchange}");
        assert_eq!(exchange.response().text(), "12345", "{exchange}");
    }
    host.upstream(|_| Reply::new(200).body("secret"));
    let exchange = host.get("/replaced").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (502, "leaked\n"), "{exchange}");
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn paused_headers_cannot_be_paused_for_the_body(mut host: Host) {
    for allowed in [true, false] {
        start(&mut host, allowed);
        let exchange = host.post("/late").body("12345").send();
        assert_eq!(exchange.upstream().unwrap().text(), "12345", "{exchange}");
        assert!(exchange.messages()[0].starts_with("late: the headers are paused already"), "{exchange}");
    }
}

const SETTING: &str = "set `allow_on_headers_stop_iteration: true` in the plugin's configuration";

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_host_without_the_body_before_the_headers_is_detected(mut host: Host) {
    start(&mut host, false);
    for path in ["/length", "/lenient"] {
        let exchange = host.post(path).chunks(["12", "345"]).send();
        assert!(exchange.messages()[0].contains(SETTING), "{exchange}");
        let upstream = exchange.upstream().map(|upstream| (upstream.header("x-length"), upstream.text()));
        match path {
            "/length" => {
                assert_eq!((exchange.status(), upstream), (500, None), "{exchange}");
                exchange.expect_error(SETTING);
            }
            _ => assert_eq!(
                upstream,
                Some((Some("unknown".into()), "12345".into())),
                "the stream is resumed: {exchange}"
            ),
        }
    }
}

#[proxy_filter_host::test(guest = "held_headers", module = guest)]
fn a_response_body_that_the_host_does_not_provide_is_an_error(mut host: Host) {
    start(&mut host, false);
    host.upstream(|_| Reply::new(200).chunks(["12", "345"]));
    let exchange = host.get("/response").disconnect_after(ms(9000)).send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("if `allow_on_headers_stop_iteration: true` is not");
}

/// No callback shows a paused body without bytes. This takes half a minute, so it runs only in the
/// embedded host.
#[test]
fn the_await_of_a_body_that_never_begins_has_a_time_limit() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = build_guest(directory, "proxy-filter-guests", Some("held_headers")).unwrap();
    let mut host = Host::for_module(&std::fs::read(module).unwrap());
    start(&mut host, false);
    let exchange = host.post("/length").chunks([""]).disconnect_after(ms(40_000)).send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("if `allow_on_headers_stop_iteration: true` is not");
}
