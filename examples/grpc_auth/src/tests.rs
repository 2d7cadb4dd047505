//! The calls of the service, and their effect on requests.

use super::ext_authz::*;
use prost::Message;
use proxy_filter_host::{Host, Received, Reply};
use serde_json::json;
use std::time::Duration;

/// Responds with this decision.
fn decide(host: &mut Host, decide: impl Fn(HttpRequest) -> CheckResponse + Send + Sync + 'static) {
    host.grpc_cluster("authz", move |call| Reply::grpc(decide(asked(call)).encode_to_vec()));
    host.configure(json!({ "cluster": "authz" })).unwrap();
}

/// Returns the request that the service received.
fn asked(call: &Received) -> HttpRequest {
    let question = CheckRequest::decode(call.grpc_messages()[0].as_slice()).unwrap();
    question.attributes.unwrap().request.unwrap().http.unwrap()
}

fn header(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption { header: Some(HeaderValue { key: key.into(), value: value.into() }) }
}

fn refused(status: i32) -> CheckResponse {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: status }),
        headers: vec![header("www-authenticate", "Bearer")],
        body: "who are you?\n".into(),
    };
    CheckResponse { status: Some(Status { code: 16 }), http_response: Some(HttpResponse::Denied(denied)) }
}

#[proxy_filter_host::test]
fn the_service_receives_the_request_and_changes_it(mut host: Host) {
    decide(&mut host, |request| {
        assert_eq!(request.method, "GET");
        let headers = vec![header("x-user", &format!("{} of {}", request.headers["x-token"], request.path))];
        let ok = OkHttpResponse { headers, headers_to_remove: vec!["x-token".into()] };
        CheckResponse { status: Some(Status::default()), http_response: Some(HttpResponse::Ok(ok)) }
    });
    let exchange = host.get("/path?a=b").header("x-token", "alice").header("x-token", "bob").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header("x-user"), Some("alice,bob of /path?a=b".into()), "{exchange}");
    assert_eq!(upstream.header("x-token"), None);
}

#[proxy_filter_host::test]
fn an_empty_decision_forwards_the_request(mut host: Host) {
    decide(&mut host, |_request| CheckResponse::default());
    assert_eq!(host.get("/").send().status(), 200);
}

#[proxy_filter_host::test]
fn a_refusal_is_the_response_of_the_service(mut host: Host) {
    decide(&mut host, |_request| refused(401));
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.response().text()), (401, "who are you?\n".into()), "{exchange}");
    assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()));
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn a_refusal_without_a_status_or_with_a_strange_one_is_403(mut host: Host) {
    decide(&mut host, |request| match request.path.as_str() {
        "/bare" => CheckResponse { status: Some(Status { code: 7 }), http_response: None },
        _ => refused(-1),
    });
    for path in ["/bare", "/strange"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 403, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn without_a_decision_the_request_is_refused(mut host: Host) {
    host.grpc_cluster("authz", |call| match asked(call).path.as_str() {
        "/slow" => Reply::grpc("").after(Duration::from_millis(600)),
        "/malformed" => Reply::grpc([0xff]),
        _ => Reply::grpc_status(13, "I am broken"),
    });
    host.configure(json!({ "cluster": "authz" })).unwrap();
    for path in ["/slow", "/malformed", "/broken"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 503, "{exchange}");
        assert!(exchange.messages()[0].starts_with("no decision: "), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn fail_open_forwards_requests_during_an_outage(mut host: Host) {
    host.cluster_without_hosts("authz");
    host.configure(json!({ "cluster": "authz", "fail_open": true })).unwrap();
    assert_eq!(host.get("/").send().status(), 200);
}

/// The service responds with each of these codes.
fn assert_codes(host: &mut Host, fail_open: bool, codes: impl IntoIterator<Item = u32>, expected: fn(u32) -> u16) {
    host.grpc_cluster("authz", |call| {
        let code = asked(call).path[1..].parse().unwrap();
        Reply::grpc_status(code, "not this one")
    });
    host.configure(json!({ "cluster": "authz", "fail_open": fail_open })).unwrap();
    for code in codes {
        let exchange = host.get(&format!("/{code}")).send();
        assert_eq!(exchange.status(), expected(code), "{code}: {exchange}");
        assert_eq!(exchange.upstream().is_some(), expected(code) == 200, "{code}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn fail_open_forwards_only_for_codes_that_no_client_can_cause(mut host: Host) {
    assert_codes(&mut host, true, 1..=16, |code| match code {
        4 | 14 => 200,
        3 | 7 | 8 | 16 => 403,
        _ => 503,
    });
}

#[proxy_filter_host::test]
fn without_fail_open_no_code_forwards_the_request(mut host: Host) {
    assert_codes(&mut host, false, [1, 2, 3, 4, 7, 8, 12, 13, 14, 16], |code| match code {
        3 | 7 | 8 | 16 => 403,
        _ => 503,
    });
}

#[proxy_filter_host::test(embedded)]
fn log_lines_about_outages_are_rate_limited(mut host: Host) {
    host.grpc_cluster("authz", |_| Reply::grpc_status(13, "I am broken"));
    host.configure(json!({ "cluster": "authz" })).unwrap();
    let lines: usize = (0..100).map(|_| host.get("/").send().messages().len()).sum();
    assert!((1..=20).contains(&lines), "{lines}");
}

#[proxy_filter_host::test]
fn a_response_without_a_decision_never_forwards_the_request(mut host: Host) {
    host.grpc_cluster("authz", |_| Reply::grpc([0xff]));
    host.configure(json!({ "cluster": "authz", "fail_open": true })).unwrap();
    assert_eq!(host.get("/").send().status(), 503);
}

/// The service may send any text of any length.
#[proxy_filter_host::test]
fn a_request_without_the_headers_of_the_service_is_refused(mut host: Host) {
    decide(&mut host, |request| {
        let mut headers = vec![header("x-first", "1")];
        headers.push(match request.path.as_str() {
            "/crlf" => header("x-user", "a\r\nx-admin: 1"),
            "/nul" => header("x-user", "a\0b"),
            "/space" => header("x user", "a"),
            "/empty" => header("", "a"),
            "/newline" => header("x-user\n", "a"),
            _ => header("x-user", "j\u{f6}rg"),
        });
        let ok = OkHttpResponse { headers, headers_to_remove: vec![] };
        CheckResponse { status: Some(Status::default()), http_response: Some(HttpResponse::Ok(ok)) }
    });
    for path in ["/crlf", "/nul", "/space", "/empty", "/newline"] {
        let exchange = host.get(path).send();
        assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
    }
    let exchange = host.get("/good").send();
    assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("j\u{f6}rg".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn a_refusal_with_a_header_that_cannot_be_sent_still_refuses(mut host: Host) {
    decide(&mut host, |request| {
        let bad = match request.path.as_str() {
            "/crlf" => header("x-why", "a\r\nset-cookie: admin=1"),
            "/name" => header("x why", "a"),
            _ => header("", "a"),
        };
        let denied = DeniedHttpResponse { headers: vec![bad, header("x-good", "1")], ..DeniedHttpResponse::default() };
        CheckResponse { status: Some(Status { code: 7 }), http_response: Some(HttpResponse::Denied(denied)) }
    });
    for path in ["/crlf", "/name", "/empty"] {
        let exchange = host.get(path).send();
        assert_eq!((exchange.status(), exchange.upstream()), (403, None), "{exchange}");
        assert_eq!(exchange.response().header("x-good"), Some("1".into()), "{exchange}");
        assert_eq!(exchange.response().header("set-cookie"), None, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn the_service_receives_every_value_and_text_for_other_bytes(mut host: Host) {
    decide(&mut host, |request| {
        let seen = format!("{}|{}", request.headers["x-token"], request.headers["x-bytes"]);
        let ok = OkHttpResponse { headers: vec![header("x-seen", &seen)], headers_to_remove: vec![] };
        CheckResponse { status: None, http_response: Some(HttpResponse::Ok(ok)) }
    });
    let request = host.get("/").header("x-token", "a").header("x-token", "b").header("x-token", "a,b");
    let exchange = request.header("x-bytes", b"\xff!").send();
    assert_eq!(exchange.upstream().unwrap().header("x-seen"), Some("a,b,a,b|\u{fffd}!".into()), "{exchange}");
}
