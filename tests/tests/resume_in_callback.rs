//! A callback that resumes the message whose part it has: harmless in most callbacks, and fatal in
//! some of them in Envoy.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Reply, Rule, Violation, build_guest};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The callback, what it does, and the messages with which Envoy does harm then: neither, those
/// with a body and trailers, those without, or both. First as Envoy is by default, then with
/// `allow_on_headers_stop_iteration`.
const CALLBACKS: [(&str, &str, [&[Shape]; 2]); 11] = [
    ("x-request-headers", "continue 0; return 0", [&[], &[]]),
    ("x-request-headers", "continue 0; return 1", [&[Shape::Body], &[]]),
    ("x-request-body", "continue 0; return 0", [&[], &[]]),
    ("x-request-body", "continue 0; return 1", [&[], &[]]),
    ("x-request-trailers", "continue 0; return 0", [&[], &[]]),
    ("x-request-trailers", "continue 0; return 1", [&[], &[]]),
    ("x-response-headers", "continue 1; return 0", [&[Shape::Body, Shape::HeadersOnly]; 2]),
    ("x-response-headers", "continue 1; return 1", [&[Shape::Body], &[]]),
    ("x-response-body", "continue 1; return 0", [&[], &[]]),
    ("x-response-trailers", "continue 1; return 0", [&[Shape::Body]; 2]),
    ("x-response-trailers", "continue 1; return 1", [&[], &[]]),
];

/// The parts of a request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Body,
    HeadersOnly,
}

fn send(host: &mut Host, list: &str, script: &str, shape: Shape, http2: bool) -> Outcome {
    let has_body = shape == Shape::Body;
    let reply = || Reply::new(200);
    host.upstream(move |_| if has_body { reply().chunks(["hello", "bye"]).trailer("x-t", "1") } else { reply() });
    let request = host.request(if has_body { "POST" } else { "GET" }, "/").header(list, script);
    let request = if has_body { request.chunks(["da", "ta"]).trailer("x-r", "1") } else { request };
    if http2 { request.http2() } else { request }.send()
}

fn play_harmless(mut host: Host, allow: bool) {
    host.allow_on_headers_stop_iteration(allow);
    host.configure("").unwrap();
    for (list, script, [by_default, allowed]) in CALLBACKS {
        let harmful = if allow { allowed } else { by_default };
        for shape in [Shape::Body, Shape::HeadersOnly] {
            for http2 in [false, true] {
                if !harmful.contains(&shape) {
                    let exchange = send(&mut host, list, script, shape, http2);
                    assert!(exchange.status() == 200 && exchange.response().complete, "{list}, {script}: {exchange}");
                }
            }
        }
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_callback_may_resume_its_message_and_decide_likewise(host: Host) {
    play_harmless(host, false);
}

#[proxy_filter_host::test(guest = "script")]
fn a_callback_may_resume_its_message_with_stop_iteration_allowed(host: Host) {
    play_harmless(host, true);
}

/// A message that has arrived when it is resumed: `list` is what its body callback does.
fn resume(host: &mut Host, list: &[(&str, &str)]) -> Outcome {
    host.cluster("service", |_| Reply::new(200).after(Duration::from_millis(300)));
    host.configure("").unwrap();
    let request = host.post("/").chunks(["one", "two"]).trailer("x-t", "1");
    let request = request.header("x-request-headers", "call service /check 2000; return 1");
    let request = request.header("x-answer", "stream; continue 0");
    list.iter().fold(request, |request, (list, script)| request.header(*list, *script)).send()
}

#[proxy_filter_host::test(guest = "script")]
fn a_body_that_is_paused_while_its_message_is_resumed_is_lost_if_its_trailers_are_forwarded(host: Host) {
    let mut host = host.without_checks();
    let exchange = resume(&mut host, &[("x-request-body", "return 1")]);
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.text(), upstream.trailer("x-t")), (String::new(), Some("1".into())), "{exchange}");
    // A real Envoy reports nothing.
    assert!(host.finish().iter().all(|violation| violation.rule() == Rule::LostBody));
}

#[proxy_filter_host::test(guest = "script")]
fn a_body_that_is_forwarded_while_its_message_is_resumed_is_not_lost(mut host: Host) {
    for list in [&[][..], &[("x-request-trailers", "length 0")]] {
        let exchange = resume(&mut host, list);
        let upstream = exchange.upstream().unwrap();
        assert_eq!((upstream.text(), upstream.trailer("x-t")), ("onetwo".into(), Some("1".into())), "{exchange}");
    }
}

#[test]
fn the_embedded_host_reports_a_lost_body() {
    let mut host = Host::for_module(&std::fs::read(module()).unwrap()).without_checks();
    let _ = resume(&mut host, &[("x-request-body", "return 1")]);
    let violations = host.finish();
    assert_eq!(violations.iter().map(Violation::rule).collect::<Vec<_>>(), [Rule::LostBody]);
}

fn module() -> PathBuf {
    build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("script")).unwrap()
}

/// Plays each callback that does harm, on a host of its own.
fn play_harmful(host: impl Fn() -> Host, judge: impl Fn(Host, Option<Outcome>, &str)) {
    for (list, script, harmful) in CALLBACKS {
        for (allow, shapes) in [false, true].into_iter().zip(harmful) {
            for (shape, http2) in shapes.iter().flat_map(|shape| [(*shape, false), (*shape, true)]) {
                let mut host = host().without_checks();
                host.allow_on_headers_stop_iteration(allow);
                host.configure("").unwrap();
                let played = catch_unwind(AssertUnwindSafe(|| send(&mut host, list, script, shape, http2)));
                let case = format!("{list}, {script}, {shape:?}, allowed {allow}, HTTP/2 {http2}");
                judge(host, played.ok(), &case);
            }
        }
    }
}

#[test]
fn a_decision_that_envoy_carries_out_twice_is_a_violation() {
    let module = std::fs::read(module()).unwrap();
    play_harmful(
        || Host::for_module(&module),
        |host, _, case| {
            let violations = host.finish();
            assert_eq!(violations.len(), 1, "{case}: {violations:?}");
            assert_eq!(violations[0].rule(), Rule::ResumeInCallback, "{case}");
        },
    );
}

/// Envoy crashes, or the client gets a response that is cut off, or another one. Over HTTP/2 a
/// response with a body reaches it although its headers are forwarded twice.
#[cfg(feature = "envoy")]
#[test]
#[ignore = "needs an Envoy"]
fn envoy_does_harm_after_each_of_these_violations() {
    play_harmful(
        || Host::in_envoy(&module()).unwrap(),
        |_, exchange, case| {
            let is_whole = |exchange: &Outcome| exchange.status() == 200 && exchange.response().text() == "hellobye";
            let is_unharmed = exchange.is_some_and(|exchange| is_whole(&exchange) && exchange.response().complete);
            let is_lucky = case.starts_with("x-response-headers, continue 1; return 0, Body") && case.ends_with("true");
            assert_eq!(is_unharmed, is_lucky, "{case}");
        },
    );
}
