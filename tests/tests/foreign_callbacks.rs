//! Foreign functions that make a callback: `on_foreign_function`.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{ForeignReply, Host, Outcome, Subject};
use std::time::Duration;

#[path = "../guests/examples/foreign_callbacks.rs"]
mod filter;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a host whose function `back` makes a callback at once, and `later` after 200 and 400 ms.
fn add_functions(host: &mut Host) {
    host.foreign_function("back", |argument| {
        ForeignReply::new("four").calls_back(7, "").calls_back(8, [argument, b"!"].concat())
    });
    host.foreign_function("later", |_| {
        ForeignReply::new("").calls_back_after(ms(400), 2, "second").calls_back_after(ms(200), 1, "first")
    });
    host.foreign_function("fails", |_| ForeignReply::new("").calls_back(1, "bad").calls_back(2, "good"));
    host.foreign_function("refuses", |_| ForeignReply::refused(proxy_filter::Status::BAD_ARGUMENT));
    host.foreign_function("again", |_| ForeignReply::new("").calls_back(1, "again"));
}

fn requests(host: &mut Host) {
    add_functions(host);
    host.root_id("requests");
}

fn lines(exchange: &Outcome) -> Vec<&str> {
    exchange.messages()
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn a_foreign_callback_during_a_callback_is_deferred_to_its_end(mut host: Host) {
    requests(&mut host);
    host.configure("back").unwrap();
    let start = host.start_logs();
    let start: Vec<_> = start.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(start, ["back returned 4 bytes", "configured", "root: 7 ", "root: 8 argument!"]);
    let exchange = host.get("/back").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(lines(&exchange), ["back returned 4 bytes", "request: 7 ", "request: 8 argument!"], "{exchange}");
    let calls = exchange.callbacks().into_iter().filter(|name| *name == "proxy_on_foreign_function");
    assert_eq!(calls.count(), 2, "{exchange}");
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn a_later_foreign_callback_reaches_the_context_that_called(mut host: Host) {
    requests(&mut host);
    host.configure("later").unwrap();
    let exchange = host.get("/later/wait").send();
    let expected = [
        "later returned 0 bytes",
        "root: 1 first",
        "request: 1 first",
        "root: 2 second",
        "request: 2 second",
        "back returned 4 bytes",
        "waited",
        "request: 7 ",
        "request: 8 argument!",
    ];
    assert_eq!(lines(&exchange), expected, "{exchange}");
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn a_stream_that_has_ended_has_no_foreign_callback(mut host: Host) {
    requests(&mut host);
    host.configure("").unwrap();
    assert_eq!(lines(&host.get("/later").send()), ["later returned 0 bytes"]);
    assert!(lines(&host.advance(ms(1000))).is_empty());
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn an_error_is_logged_and_affects_no_stream(mut host: Host) {
    requests(&mut host);
    host.configure("").unwrap();
    let exchange = host.get("/fails").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let failed = "on_foreign_function of context 2 failed: told to fail";
    assert_eq!(lines(&exchange), ["fails returned 0 bytes", "request: 1 bad", failed, "request: 2 good"], "{exchange}");
    exchange.expect_error(failed);
    let exchange = host.get("/refuses").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(lines(&exchange).len(), 1, "{exchange}");
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn a_callback_may_call_again(mut host: Host) {
    requests(&mut host);
    host.configure("").unwrap();
    let exchange = host.get("/again").send();
    let expected =
        ["again returned 0 bytes", "request: 1 again", "back returned 4 bytes", "request: 7 ", "request: 8 argument!"];
    assert_eq!(lines(&exchange), expected, "{exchange}");
}

#[proxy_filter_host::test(guest = "foreign_callbacks", embedded)]
fn foreign_callbacks_reach_connections(mut host: Host) {
    add_functions(&mut host);
    host.root_id("connections");
    let connection = host.connect().send("hello").upstream_answers(<[u8]>::to_ascii_uppercase).play();
    assert_eq!(connection.client().text(), "HELLO", "{connection}");
    let expected = ["back returned 4 bytes", "connected", "connection: 7 ", "connection: 8 argument!"];
    assert_eq!(connection.messages(), expected, "{connection}");
}

#[proxy_filter_host::test(guest = "foreign_callbacks")]
fn envoy_loads_a_module_that_has_the_callback_and_never_calls_it(mut host: Host) {
    host.root_id("requests");
    host.configure("compress").unwrap();
    let exchange = host.get("/uncompress").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(lines(&exchange)[0].starts_with("uncompress: "), "{exchange}");
    let exchange = host.get("/clear_route_cache/wait").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(lines(&exchange).contains(&"waited"), "{exchange}");
    assert!(!exchange.callbacks().contains(&"proxy_on_foreign_function"), "{exchange}");
}

/// The same as native code.
#[test]
fn native_code_has_the_callbacks_of_the_module() {
    const SUBJECT: Subject = Subject {
        package: env!("CARGO_PKG_NAME"),
        manifest_dir: env!("CARGO_MANIFEST_DIR"),
        guest: Some("foreign_callbacks"),
        module: Some(filter::__proxy_filter::module),
    };
    for test in [
        a_foreign_callback_during_a_callback_is_deferred_to_its_end,
        a_later_foreign_callback_reaches_the_context_that_called,
        a_stream_that_has_ended_has_no_foreign_callback,
        an_error_is_logged_and_affects_no_stream,
        a_callback_may_call_again,
        foreign_callbacks_reach_connections,
    ] {
        proxy_filter_host::__private::wasm(&SUBJECT, test);
    }
}
