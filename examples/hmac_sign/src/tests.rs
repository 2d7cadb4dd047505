//! Signatures, created and verified.

use proxy_filter_host::Host;
use proxy_filter_kit::signature::{RequestSigner, Secret};
use serde_json::json;
use std::time::{Duration, SystemTime};

const SECRET: &str = "a secret of at least 32 characters";
const OLD: &str = "an old secret of at least 32 characters";

fn signer(secret: &str) -> RequestSigner {
    RequestSigner::new(Secret::new(secret).unwrap())
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// The clock of Envoy is the machine's, so that signatures differ.
#[proxy_filter_host::test(embedded)]
fn the_upstream_can_verify_the_signature(mut host: Host) {
    host.clock(SystemTime::now());
    host.configure(json!({ "secrets": [SECRET, OLD], "header": "x-signature", "headers": ["x-tenant"] })).unwrap();
    let request = host.post("/orders?id=7").authority("shop.example").header("x-tenant", "t1");
    let exchange = request.header("x-signature", "forged").body("{}").send();
    let signature = exchange.upstream().unwrap().header("x-signature").unwrap().to_string();
    let verify = |parts: &[&[u8]]| signer(SECRET).verify(signature.as_bytes(), parts, now());
    assert_eq!(verify(&[b"POST", b"shop.example", b"/orders?id=7", b"t1"]), Ok(()), "{exchange}");
    assert!(verify(&[b"POST", b"shop.example", b"/orders?id=8", b"t1"]).is_err());
}

/// The clock of Envoy is the machine's, so that signatures differ.
#[proxy_filter_host::test(embedded)]
fn signed_requests_are_forwarded_and_others_refused(mut host: Host) {
    host.clock(SystemTime::now());
    host.configure(json!({ "secrets": [SECRET, OLD], "header": "x-signature", "verify": true })).unwrap();
    let parts: [&[u8]; 3] = [b"GET", b"shop.example", b"/a"];
    for (signature, path, expected) in [
        (signer(SECRET).sign(&parts, now()).unwrap(), "/a", 200),
        (signer(OLD).sign(&parts, now()).unwrap(), "/a", 200),
        (signer(SECRET).sign(&parts, now()).unwrap(), "/b", 401),
        (signer(SECRET).sign(&parts, now().checked_sub(Duration::from_secs(3600)).unwrap()).unwrap(), "/a", 401),
        (signer("another secret of at least 32 bytes").sign(&parts, now()).unwrap(), "/a", 401),
        (String::new(), "/a", 401),
    ] {
        let exchange = host.get(path).authority("shop.example").header("x-signature", &signature).send();
        assert_eq!(exchange.status(), expected, "{signature} {path}: {exchange}");
        assert_eq!(exchange.upstream().is_some(), expected == 200);
    }
}

#[proxy_filter_host::test]
fn a_request_without_a_valid_signature_or_with_a_repeated_header_is_refused(mut host: Host) {
    let headers = ["x-tenant"];
    host.configure(json!({ "secrets": [SECRET], "header": "x-signature", "headers": headers, "verify": true }))
        .unwrap();
    // A signature of 2023.
    let signature = signer(SECRET).sign(&[b"GET", b"h", b"/", b"a"], Duration::from_secs(1_700_000_000)).unwrap();
    for (fields, expected) in [
        (&[("x-tenant", "a")][..], 401),
        (&[("x-tenant", "a"), ("x-signature", "")], 401),
        (&[("x-tenant", "a"), ("x-signature", &signature)], 401),
        (&[("x-tenant", "a"), ("x-signature", &signature), ("x-signature", "x")], 401),
        (&[("x-tenant", "a"), ("x-tenant", "b"), ("x-signature", &signature)], 400),
    ] {
        let request = host.get("/").authority("h");
        let exchange = fields.iter().fold(request, |request, (name, value)| request.header(name, value)).send();
        assert_eq!((exchange.status(), exchange.upstream()), (expected, None), "{fields:?}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn short_and_missing_secrets_are_refused(mut host: Host) {
    for secrets in [json!([]), json!(["short"]), json!([SECRET, "short"])] {
        let refused = host.configure(json!({ "secrets": secrets, "header": "x-signature" })).unwrap_err();
        assert!(refused.to_string().contains("secret"), "{refused}");
    }
}
