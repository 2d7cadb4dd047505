//! Signatures of requests.

use proxy_filter_host::{Host, Outcome};
use proxy_filter_kit::signature::aws::{Credentials, Payload, Request, Signer};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn configuration(service: &str, unsigned_body: bool) -> Value {
    json!({
        "host": "service.example", "region": "us-east-1", "service": service, "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": KEY, "session_token": "token", "unsigned_body": unsigned_body, "max_body": 64,
    })
}

/// Returns a header of the request that the upstream received.
fn sent(exchange: &Outcome, name: &str) -> String {
    exchange.upstream().unwrap().header(name).unwrap_or_default().to_string()
}

/// Returns the signature that the service would compute.
fn expected(exchange: &Outcome, service: &str, payload: Payload<'_>, now: SystemTime) -> String {
    let signer = Signer::new(Credentials::new("AKIDEXAMPLE", KEY).session_token("token"), "us-east-1", service);
    let (method, target) = (sent(exchange, ":method"), sent(exchange, ":path"));
    let headers: [(&[u8], &[u8]); 3] =
        [(b"host", b"service.example"), (b"content-type", b"text/plain"), (b"x-amz-acl", b"private")];
    let request = Request { method: method.as_bytes(), target: target.as_bytes(), headers: &headers, payload };
    let now: Duration = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    signer.sign(&request, now).unwrap().pop().unwrap().1
}

/// The clock of Envoy is the machine's, so that signatures differ.
#[proxy_filter_host::test(embedded)]
fn the_service_computes_the_same_signature(mut host: Host) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    host.allow_on_headers_stop_iteration(true);
    for (service, unsigned_body) in [("s3", true), ("s3", false), ("execute-api", false)] {
        host.configure(configuration(service, unsigned_body)).unwrap();
        for (body, target) in [("", "/a%20b/../c?d=1&a"), ("a body", "/a//b?q=%7e"), ("a body", "/")] {
            host.clock(now);
            let request = host.request("PUT", target).header("content-type", "text/plain");
            let request = request.header("x-amz-acl", "private").header("authorization", "Bearer mine");
            let request = request.header("x-amz-security-token", "mine");
            let exchange = request.header("x-amz-content-sha256", "0").body(body).send();
            assert_eq!(exchange.status(), 200, "{exchange}");
            let payload = if unsigned_body { Payload::Unsigned } else { Payload::Bytes(body.as_bytes()) };
            let authorization = sent(&exchange, "authorization");
            assert_eq!(authorization, expected(&exchange, service, payload, now), "{exchange}");
            assert_eq!(sent(&exchange, "x-amz-security-token"), "token", "{exchange}");
            assert_eq!(exchange.upstream().unwrap().text(), body, "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn the_upstream_gets_the_signature_in_place_of_the_credentials_of_the_client(mut host: Host) {
    host.ignore_value_of("authorization");
    host.ignore_value_of("x-amz-date");
    host.configure(configuration("s3", true)).unwrap();
    let request =
        host.get("/a").header("authorization", "Bearer mine").header("x-amz-date", "1").header("x-amz-date", "2");
    let exchange = request.send();
    assert_eq!(sent(&exchange, ":authority"), "service.example", "{exchange}");
    let authorization = sent(&exchange, "authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{exchange}");
    let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    assert!(authorization.contains(names), "{exchange}");
    assert_eq!(sent(&exchange, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD", "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header_values("x-amz-date").len(), 1, "{exchange}");
}

#[proxy_filter_host::test]
fn a_body_that_is_too_large_to_sign_is_refused(mut host: Host) {
    host.allow_on_headers_stop_iteration(true);
    host.configure(configuration("execute-api", false)).unwrap();
    let exchange = host.post("/").body("x".repeat(65)).send();
    assert_eq!((exchange.status(), exchange.upstream()), (413, None), "{exchange}");
}
