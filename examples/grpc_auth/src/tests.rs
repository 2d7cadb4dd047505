//! What the service is asked, and what becomes of requests.

use super::ext_authz::*;
use prost::Message;
use proxy_filter_host::{Host, Received, Reply};
use serde_json::json;
use std::time::Duration;

/// The service decides so.
fn decide(host: &mut Host, decide: impl Fn(HttpRequest) -> CheckResponse + Send + Sync + 'static) {
    host.grpc_cluster("authz", move |call| Reply::grpc(decide(asked(call)).encode_to_vec()));
    host.configure(json!({ "cluster": "authz" })).unwrap();
}

/// What the service was asked.
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
fn the_service_sees_the_request_and_changes_it(mut host: Host) {
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
fn an_empty_decision_lets_the_request_pass(mut host: Host) {
    decide(&mut host, |_request| CheckResponse::default());
    assert_eq!(host.get("/").send().status(), 200);
}

#[proxy_filter_host::test]
fn a_refusal_is_the_services_answer(mut host: Host) {
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
fn without_a_decision_the_request_does_not_pass(mut host: Host) {
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
fn it_passes_if_the_operator_wants_so(mut host: Host) {
    host.cluster_without_hosts("authz");
    host.configure(json!({ "cluster": "authz", "fail_open": true })).unwrap();
    assert_eq!(host.get("/").send().status(), 200);
}
