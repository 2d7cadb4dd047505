//! What only a real Envoy has: expressions and signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]
#![cfg(feature = "envoy")]

use proxy_filter_host::{Host, build_guest};
use std::path::Path;

/// The guest in Envoy, with the keys of `keys/`, which were made for this test and protect nothing.
fn host() -> Host {
    let module =
        build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("expressions")).unwrap();
    let mut host = Host::in_envoy(&module).unwrap();
    let keys =
        serde_json::json!({ "private": include_str!("keys/private.pem"), "public": include_str!("keys/public.pem") });
    host.configure(keys).unwrap();
    host
}

#[test]
#[ignore = "needs an Envoy"]
fn signatures_are_made_and_checked_in_envoy() {
    let lines: Vec<_> = host().start_logs().into_iter().map(|line| line.message).collect();
    let invalid = "Invalid(\"Failed to verify digest. Error code: 0\")";
    assert_eq!(
        lines,
        [
            "no expression: InvalidInput",
            "on the root: NotAvailableHere",
            "signature of 256 bytes",
            "the text: Valid",
            &format!("another text: {invalid}"),
            &format!("another hash: {invalid}"),
            "no hash: Invalid(\"sha0 is not supported.\")",
            &format!("no signature: {invalid}"),
            "no key: Invalid(\"Failed to initialize digest verify.\")",
            "no PEM: Invalid(\"Failed to initialize digest verify.\")",
            "sign without a hash: InvalidInput",
            "sign without a key: InvalidInput",
        ]
    );
}

#[test]
#[ignore = "needs an Envoy"]
fn expressions_are_evaluated_in_envoy() {
    let mut host = host();
    for (path, result) in [("/yes", true), ("/no", false)] {
        let exchange = host.get(path).send();
        let lines: Vec<_> = exchange.messages();
        assert_eq!(
            lines,
            [
                if result { r#"request.path == '/yes': "\x01""# } else { r#"request.path == '/yes': "\x00""# },
                &format!("request.path == '/yes': {result}"),
                "request.headers['x-missing'] == '1': NotAvailableHere",
                "request.headers['x-missing'] == '1': NotAvailableHere",
                r#"1.5: "\x00\x00\x00\x00\x00\x00\xf8?""#,
                "1.5: Malformed",
                "null: Refused(SerializationFailure (3))",
                "null: Refused(SerializationFailure (3))",
                r#"request.method + '!': "GET!""#,
                "request.method + '!': Malformed",
                "in a stream: true",
                "dropped: NotFound",
                "deleted: []",
            ]
        );
    }
}
