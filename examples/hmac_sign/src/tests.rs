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

#[proxy_filter_host::test]
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

#[proxy_filter_host::test]
fn signed_requests_are_forwarded_and_others_refused(mut host: Host) {
    host.clock(SystemTime::now());
    host.configure(json!({ "secrets": [SECRET, OLD], "header": "x-signature", "verify": true })).unwrap();
    let parts: [&[u8]; 3] = [b"GET", b"shop.example", b"/a"];
    for (signature, path, expected) in [
        (signer(SECRET).sign(&parts, now()).unwrap(), "/a", 200),
        (signer(OLD).sign(&parts, now()).unwrap(), "/a", 200),
        (signer(SECRET).sign(&parts, now()).unwrap(), "/b", 401),
        (signer(SECRET).sign(&parts, now() - Duration::from_secs(3600)).unwrap(), "/a", 401),
        (signer("another secret of at least 32 bytes").sign(&parts, now()).unwrap(), "/a", 401),
        (String::new(), "/a", 401),
    ] {
        let exchange = host.get(path).authority("shop.example").header("x-signature", &signature).send();
        assert_eq!(exchange.status(), expected, "{signature} {path}: {exchange}");
        assert_eq!(exchange.upstream().is_some(), expected == 200);
    }
}

#[proxy_filter_host::test]
fn a_repeated_signature_or_signed_header_is_refused(mut host: Host) {
    host.clock(SystemTime::now());
    host.configure(json!({ "secrets": [SECRET], "header": "x-signature", "headers": ["x-tenant"], "verify": true }))
        .unwrap();
    let signature = signer(SECRET).sign(&[b"GET", b"h", b"/", b"a"], now()).unwrap();
    let exchange = host
        .get("/")
        .authority("h")
        .header("x-signature", &signature)
        .header("x-tenant", "a")
        .header("x-tenant", "b")
        .send();
    assert_eq!(exchange.status(), 400, "{exchange}");
    let exchange = host
        .get("/")
        .authority("h")
        .header("x-tenant", "a")
        .header("x-signature", &signature)
        .header("x-signature", "x")
        .send();
    assert_eq!((exchange.status(), exchange.upstream()), (401, None), "{exchange}");
}

#[proxy_filter_host::test]
fn short_and_missing_secrets_are_refused(mut host: Host) {
    for secrets in [json!([]), json!(["short"]), json!([SECRET, "short"])] {
        let refused = host.configure(json!({ "secrets": secrets, "header": "x-signature" })).unwrap_err();
        assert!(refused.to_string().contains("secret"), "{refused}");
    }
}
