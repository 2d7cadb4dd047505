//! A denial is effective in every callback, in every completion, in every form, and under every
//! failure policy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Reply, RequestBuilder};

#[path = "../guests/examples/denials.rs"]
mod guest;

/// The forms of a denial, and the status that the client gets before response headers were sent; 0
/// for a reset.
const WAYS: [(&str, u16); 6] =
    [("reply", 403), ("bad-reply", 403), ("odd-reply", 500), ("error", 403), ("cause", 403), ("close", 0)];

/// The places before response headers were sent, and whether the upstream has received the request.
const BEFORE: [(&str, bool); 7] = [
    ("request-headers", false),
    ("held-request-headers", false),
    ("request-body", true),
    ("held-request-body", true),
    ("request-trailers", true),
    ("response-headers", true),
    ("held-response-headers", true),
];

/// The places after response headers were sent.
const AFTER: [&str; 2] = ["response-body", "response-trailers"];

fn start(host: &mut Host, root_id: &str) {
    host.log_level(LogLevel::Debug);
    host.root_id(root_id);
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    host.configure("").unwrap();
}

fn send(host: &mut Host, place: &str, way: &str) -> Outcome {
    request(host, place, way).send()
}

fn send_over_http2(host: &mut Host, place: &str, way: &str) -> Outcome {
    request(host, place, way).http2().send()
}

fn request<'a>(host: &'a mut Host, place: &str, way: &str) -> RequestBuilder<'a> {
    host.post(&format!("/{place}/{way}")).chunks(["data"]).trailer("x-t", "1")
}

/// The levels of the SDK's log lines, without those of timers.
fn levels(exchange: &Outcome) -> Vec<LogLevel> {
    exchange.logs().iter().map(|line| line.level).collect()
}

/// Denies at every place in every form.
fn deny_everywhere(host: &mut Host, is_function: bool) {
    deny_everywhere_in(host, is_function, send);
}

fn deny_everywhere_in(host: &mut Host, is_function: bool, send: fn(&mut Host, &str, &str) -> Outcome) {
    for (way, status) in WAYS {
        for (place, is_forwarded) in BEFORE {
            if is_function && place == "request-trailers" {
                continue;
            }
            let exchange = send(host, place, way);
            assert_eq!(exchange.status(), status, "{place}, {way}: {exchange}");
            assert!(is_forwarded || exchange.upstream().is_none(), "{place}, {way}: {exchange}");
            let text = if status == 403 { "denied\n" } else { "" };
            assert_eq!(exchange.response().text(), text, "{place}, {way}: {exchange}");
            let expected: &[LogLevel] = match way {
                "bad-reply" | "odd-reply" => &[LogLevel::Warn],
                "cause" => &[LogLevel::Debug],
                _ => &[],
            };
            assert_eq!(levels(&exchange), expected, "{place}, {way}: {exchange}");
            if way == "bad-reply" {
                assert_eq!(exchange.response().header("x-why"), None, "{exchange}");
                assert_eq!(exchange.response().header("x-ok"), Some("1".into()), "{exchange}");
            }
        }
        for place in AFTER {
            if is_function && place == "response-trailers" {
                continue;
            }
            let exchange = send(host, place, way);
            assert!(!exchange.response().complete, "{place}, {way}: {exchange}");
            assert!(!levels(&exchange).contains(&LogLevel::Error), "{place}, {way}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_callback_denies_under_the_closed_policy(mut host: Host) {
    start(&mut host, "closed");
    deny_everywhere(&mut host, false);
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_callback_denies_under_the_open_policy(mut host: Host) {
    start(&mut host, "open");
    deny_everywhere(&mut host, false);
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_function_denies_under_the_closed_policy(mut host: Host) {
    start(&mut host, "function");
    deny_everywhere(&mut host, true);
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_function_denies_under_the_open_policy(mut host: Host) {
    start(&mut host, "open-function");
    deny_everywhere(&mut host, true);
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_callback_denies_over_http2(mut host: Host) {
    for root_id in ["closed", "open"] {
        start(&mut host, root_id);
        deny_everywhere_in(&mut host, false, send_over_http2);
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_function_denies_over_http2(mut host: Host) {
    for root_id in ["function", "open-function"] {
        start(&mut host, root_id);
        deny_everywhere_in(&mut host, true, send_over_http2);
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_reply_whose_result_is_ignored_denies(mut host: Host) {
    for root_id in ["function", "open-function"] {
        start(&mut host, root_id);
        let exchange = send(&mut host, "request-headers", "ignored-reply");
        assert_eq!((exchange.status(), exchange.upstream().is_none()), (403, true), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_completion_that_pauses_nothing_denies_with_an_error(mut host: Host) {
    for root_id in ["closed", "open"] {
        start(&mut host, root_id);
        for (way, lines) in [("error", &[][..]), ("cause", &[LogLevel::Debug])] {
            let exchange = send(&mut host, "free-completion", way);
            assert_eq!((exchange.status(), exchange.upstream().is_none()), (403, true), "{way}: {exchange}");
            assert_eq!(levels(&exchange), lines, "{way}: {exchange}");
        }
        // A failure in this callback is only logged: the pending callout decides about the stream.
        let exchange = send(&mut host, "free-completion", "fail");
        assert_eq!((exchange.status(), levels(&exchange)), (200, vec![LogLevel::Error]), "{exchange}");
        exchange.expect_error("the completion of a timer of context");
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_denial_of_on_create_is_sent_by_the_first_callback(mut host: Host) {
    for root_id in ["closed", "open"] {
        for (way, lines) in [("error", &[][..]), ("cause", &[LogLevel::Debug])] {
            start(&mut host, root_id);
            host.configure(way).unwrap();
            let exchange = send(&mut host, "create", "");
            assert_eq!((exchange.status(), exchange.upstream().is_none()), (403, true), "{way}: {exchange}");
            assert_eq!(levels(&exchange), lines, "{way}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn a_failure_that_is_no_denial_follows_the_policy(mut host: Host) {
    for (root_id, refused) in [("closed", true), ("open", false), ("function", true), ("open-function", false)] {
        start(&mut host, root_id);
        let is_function = root_id.ends_with("function");
        for (place, _) in BEFORE.into_iter().filter(|(place, _)| !is_function || *place != "request-trailers") {
            let exchange = send(&mut host, place, "fail");
            assert_eq!(exchange.status(), if refused { 500 } else { 200 }, "{place}: {exchange}");
            let levels = levels(&exchange);
            assert!(levels.contains(&LogLevel::Error), "{place}: {exchange}");
            exchange.expect_error("failed as asked");
        }
        let exchange = send(&mut host, "response-body", "fail");
        assert_eq!(exchange.response().complete, !refused, "{exchange}");
        exchange.expect_error("failed as asked");
    }
}

/// The status for errors without a reply, under the closed policy; 200 for a response that is
/// truncated.
#[proxy_filter_host::test(guest = "denials", module = guest)]
fn the_kind_of_an_error_without_a_reply_determines_the_status(mut host: Host) {
    start(&mut host, "function");
    host.allow_on_headers_stop_iteration(true);
    host.configure("").unwrap();
    for (place, status, level) in [
        ("large-request", 413, LogLevel::Info),
        ("large-response", 200, LogLevel::Error),
        ("large-held-response", 502, LogLevel::Error),
        ("outage", 503, LogLevel::Error),
    ] {
        let exchange = send(&mut host, place, "");
        assert_eq!(exchange.status(), status, "{place}: {exchange}");
        assert_eq!(exchange.response().complete, status != 200, "{place}: {exchange}");
        assert_eq!(levels(&exchange), [level], "{place}: {exchange}");
        if level == LogLevel::Error {
            exchange.expect_error(if status == 503 {
                "the call failed: "
            } else {
                "the body is longer than the limit"
            });
        }
    }
    start(&mut host, "open-function");
    for place in ["large-request", "large-response", "large-held-response", "outage"] {
        let exchange = send(&mut host, place, "");
        assert!(exchange.status() == 200 && exchange.response().complete, "{place}: {exchange}");
        assert_eq!(exchange.response().text(), "body", "{place}: {exchange}");
        if place != "large-request" {
            exchange.expect_error("; the stream continues");
        }
    }
}

#[proxy_filter_host::test(guest = "denials", module = guest)]
fn the_configuration_chooses_the_failure_policy_of_each_side(mut host: Host) {
    host.upstream(|_| Reply::new(200).body("body"));
    for root_id in ["configured", "configured-function"] {
        host.root_id(root_id);
        for (request, response) in [("open", "closed"), ("closed", "open"), ("open", "open"), ("closed", "closed")] {
            host.configure(format!(r#"{{ "request": "{request}", "response": "{response}" }}"#)).unwrap();
            for (place, policy) in [
                ("request-headers", request),
                ("held-request-headers", request),
                ("request-body", request),
                ("response-headers", response),
                ("held-response-headers", response),
            ] {
                let exchange = send(&mut host, place, "fail");
                let status = if policy == "open" { 200 } else { 500 };
                assert_eq!(exchange.status(), status, "{root_id}, {request}, {response}, {place}: {exchange}");
                exchange.expect_error("failed as asked");
                // A denial does not depend on the policy.
                assert_eq!(send(&mut host, place, "error").status(), 403, "{root_id}, {request}, {response}, {place}");
            }
        }
        host.configure(r#"{ "request": "ajar", "response": "open" }"#).unwrap_err();
    }
}
