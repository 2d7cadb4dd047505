//! What only a real Envoy has: expressions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]
#![cfg(feature = "envoy")]

use proxy_filter_host::{Host, build_guest};
use std::path::Path;

/// The guest in Envoy.
fn host() -> Host {
    let module =
        build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("expressions")).unwrap();
    let mut host = Host::in_envoy(&module).unwrap();
    host.configure("").unwrap();
    host
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
