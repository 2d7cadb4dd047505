//! Tokens, and keys that are fetched.

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use proxy_filter_host::{Host, Reply};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

/// The set with the public keys of these numbers.
fn jwks(numbers: &[u8]) -> String {
    let keys: Vec<Value> = numbers
        .iter()
        .map(|number| {
            let point = key(*number).verifying_key().to_sec1_point(false);
            let part = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
            let (x, y) = (part(point.x().unwrap()), part(point.y().unwrap()));
            json!({ "kty": "EC", "crv": "P-256", "kid": format!("k{number}"), "x": x, "y": y })
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

fn token(number: u8, claims: &Value) -> String {
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let header = json!({ "alg": "ES256", "kid": format!("k{number}") });
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature: Signature = key(number).sign(signed.as_bytes());
    format!("Bearer {signed}.{}", Base64UrlUnpadded::encode_string(&signature.to_bytes()))
}

fn claims() -> Value {
    json!({ "iss": "https://idp.example", "aud": "api", "exp": 4_000_000_000_u64, "sub": "joe", "scope": "read write" })
}

/// Returns the host, and the number of calls to the issuer.
fn configure(host: &mut Host, scope: Option<&str>) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    host.cluster("idp", move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Reply::new(200).body(jwks(&[1, 2]))
    });
    let issuer = json!({
        "cluster": "idp", "path": "/jwks.json", "issuer": "https://idp.example", "audience": "api", "scope": scope
    });
    host.configure(issuer).unwrap();
    calls
}

#[proxy_filter_host::test]
fn the_upstream_gets_the_subject_of_a_valid_token(mut host: Host) {
    let calls = configure(&mut host, Some("read"));
    for number in [1, 2, 1] {
        let request = host.get("/").header("authorization", token(number, &claims())).header("x-subject", "root");
        let exchange = request.send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header("x-subject").unwrap(), "joe", "{exchange}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the keys are stored");
}

#[proxy_filter_host::test]
fn other_tokens_are_refused(mut host: Host) {
    configure(&mut host, Some("read"));
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(1, &claims)
    };
    for (authorization, expected) in [
        (String::new(), 401),
        ("Bearer x".to_owned(), 401),
        (with("exp", json!(1)), 401),
        (with("aud", json!("other")), 401),
        (with("iss", json!("https://other.example")), 401),
        (with("sub", json!("a\nb")), 401),
        (with("sub", json!("s".repeat(300))), 401),
        (with("scope", json!("readx")), 403),
        (format!("{}x", token(1, &claims())), 401),
        (token(1, &claims()).replace("Bearer", "Basic"), 401),
        (token(3, &claims()), 401),
    ] {
        let exchange = host.get("/").header("authorization", &authorization).send();
        assert_eq!((exchange.status(), exchange.upstream()), (expected, None), "{authorization}: {exchange}");
    }
    let authorization = token(1, &claims());
    let exchange = host.get("/").header("authorization", &authorization).header("authorization", &authorization).send();
    // Envoy joins the values.
    assert_eq!((exchange.status(), exchange.upstream()), (401, None), "{exchange}");
}

#[proxy_filter_host::test]
fn without_keys_the_response_is_503(mut host: Host) {
    host.cluster("idp", |_| Reply::new(500));
    let issuer = json!({ "cluster": "idp", "path": "/jwks.json", "issuer": "https://idp.example", "audience": "api" });
    host.configure(issuer).unwrap();
    let exchange = host.get("/").header("authorization", token(1, &claims())).send();
    assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
}
