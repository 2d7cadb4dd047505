//! Fields that are not valid HTTP, from a module that can make any host call: Envoy refuses some
//! and sends others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Reply, build_guest};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// A byte of each class: controls with and without an escape in JSON, separators, and bytes beyond
/// ASCII.
const BYTES: [u8; 22] = [
    0, 1, 8, b'\t', b'\n', 0x0b, 0x0c, b'\r', 0x1b, b' ', b'!', b'"', b'(', b',', b'/', b':', b';', b'=', b'\\', b'~',
    0x7f, 0x80,
];

fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'~')
}

fn is_fit_for_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[proxy_filter_host::test(guest = "script")]
fn a_request_with_a_field_that_is_not_valid_is_refused(mut host: Host) {
    host.upstream(|_request| Reply::new(200));
    host.configure("").unwrap();
    for byte in BYTES {
        for (script, is_valid) in [
            (format!("replace 0 a%{byte:02x}b 1"), is_token(byte)),
            (format!("replace 0 x a%{byte:02x}b"), is_fit_for_value(byte)),
        ] {
            let log = "property response.code_details; property response.flags";
            let exchange = host.get("/").header("x-request-headers", &script).header("x-log", log).send();
            assert_eq!(exchange.status(), if is_valid { 200 } else { 503 }, "{script}: {exchange}");
            assert_eq!(exchange.upstream().is_some(), is_valid, "{script}: {exchange}");
        }
    }
    for (script, body) in [
        ("add 0 a%20b 1; replace 0 x a%01", "invalid header name: a b"),
        ("add 0 x a%01; replace 0 a%20b 1", "invalid header value for: x"),
        ("replace 0 a%0db%1b%5c%22 1", "invalid header name: a\\rb\\u001b\\\\\\\""),
        ("remove 0 :method; replace 0 a%20b 1", "missing required header: :method"),
    ] {
        let exchange = host.post("/").header("x-request-headers", script).body("data").send();
        assert_eq!((exchange.status(), exchange.response().text()), (503, body.into()), "{exchange}");
    }
    let exchange = host.get("/").header("x-request-headers", "replace 0 a%20b 1; remove 0 :path").send();
    assert_eq!(exchange.status(), 404, "the route is looked for first: {exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_callout_with_a_field_that_is_not_valid_gets_a_503(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200));
    host.configure("").unwrap();
    let fails_at_once = host.behaves_as().differs_in("returns InternalFailure for a header that is not valid");
    for byte in BYTES {
        for (field, is_valid) in
            [(format!("a%{byte:02x}b=1"), is_token(byte)), (format!("x=a%{byte:02x}b"), is_fit_for_value(byte))]
        {
            // The refused name before it has left a connection unused.
            if fails_at_once && !is_valid && field.starts_with("x=") {
                let script = format!("headers authz :method=GET,:path=/,:authority=a,{field} 1000");
                let exchange = host.get("/").header("x-request-headers", script).send();
                assert!(exchange.to_string().contains("proxy_http_call = InternalFailure (10)"), "{field}: {exchange}");
                continue;
            }
            let script = format!("headers authz :method=GET,:path=/,:authority=a,{field} 1000; return 1");
            let show = "get 6 :status; buffer 4; stream; continue 0";
            let exchange = host.get("/").header("x-request-headers", script).header("x-answer", show).send();
            assert_eq!(exchange.messages()[0].contains("200"), is_valid, "{field}: {exchange}");
            assert_eq!(exchange.calls("authz").len(), usize::from(is_valid), "{field}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_callout_with_a_content_length_and_no_body_times_out(mut host: Host) {
    host.expect_violation("the service waits for what does not come");
    host.cluster("authz", |_call| Reply::new(200));
    host.configure("").unwrap();
    for field in ["content-length=4", "transfer-encoding=chunked"] {
        let script = format!("headers authz :method=POST,:path=/,:authority=a,{field} 300; return 1");
        let show = "get 6 :status; buffer 4; stream; continue 0";
        let exchange = host.get("/").header("x-request-headers", script).header("x-answer", show).send();
        assert!(exchange.messages()[0].contains("504"), "{field}: {exchange}");
        assert!(!exchange.calls("authz")[0].complete, "{field}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_callout_obeys_the_timeouts_in_its_headers(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(Duration::from_millis(200)));
    host.configure("").unwrap();
    for (field, status) in [
        ("x-envoy-upstream-rq-timeout-ms=1", "504"),
        ("x-envoy-upstream-rq-per-try-timeout-ms=1", "504"),
        ("x-envoy-upstream-alt-stat-name=x", "200"),
    ] {
        let script = format!("headers authz :method=GET,:path=/,:authority=a,{field} 5000; return 1");
        let show = "get 6 :status; stream; continue 0";
        let exchange = host.get("/").header("x-request-headers", script).header("x-answer", show).send();
        assert!(exchange.messages()[0].contains(status), "{field}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn the_host_of_a_callout_is_joined_to_its_authority_and_a_tunnel_is_refused(mut host: Host) {
    host.cluster("authz", |call| Reply::new(200).body(call.header(":authority").unwrap().to_string()));
    host.configure("").unwrap();
    let show = "get 6 :status; buffer 4; stream; continue 0";
    let script = "headers authz :method=GET,:path=/,:authority=a,host=other 1000; return 1";
    let exchange = host.get("/").header("x-request-headers", script).header("x-answer", show).send();
    assert!(exchange.messages()[1].ends_with("a,other"), "{exchange}");
    let script = "headers authz :method=CONNECT,:path=/,:authority=a 1000; return 1";
    let exchange = host.get("/").header("x-request-headers", script).header("x-answer", show).send();
    assert!(exchange.messages()[1].ends_with("missing required header: :protocol"), "{exchange}");
}

/// Returns the violations that the embedded host reports for a filter that does this in every
/// exchange.
fn violations(list: &str, script: &str) -> String {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("script")).unwrap();
    let mut host = Host::for_module(&std::fs::read(module).unwrap());
    host.upstream(|_request| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    host.configure("").unwrap();
    let _ = host.post("/").chunks(["data"]).trailer("x-t", "1").header(list, script).send();
    let violations = host.violations().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // Dropping the host fails a test whose filter has violated a rule.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(host)));
    assert_eq!(dropped.is_err(), !violations.is_empty());
    violations
}

/// Envoy writes these fields unchanged: no client, upstream or test could interpret them.
#[test]
fn invalid_fields_that_envoy_writes_are_violations() {
    for (list, script) in [
        ("x-request-headers", "reply 403 no set-cookie%3as%3devil%3bx=1"),
        ("x-request-headers", "reply 403 no x=a%0d%0ab:1"),
        ("x-response-headers", "add 2 a%20b 1"),
        ("x-response-headers", "replace 2 x a%0d%0ab"),
        ("x-response-trailers", "add 3 a%3ab 1"),
        ("x-request-trailers", "add 1 x a%01"),
    ] {
        let said = violations(list, script);
        assert!(said.contains("not valid HTTP"), "{script}: {said}");
    }
    for script in ["replace 0 :path /admin%20HTTP/1.1", "replace 0 :method GET%20/admin"] {
        let said = violations("x-request-headers", script);
        assert!(said.contains("the request line"), "{script}: {said}");
    }
    assert_eq!(violations("x-response-headers", "add 2 a 1"), "");
}
