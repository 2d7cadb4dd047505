//! Headers of responses.

use proxy_filter_host::{Host, Reply};
use serde_json::json;

#[proxy_filter_host::test]
fn every_response_has_the_headers_once(mut host: Host) {
    let configuration = json!({
        "policy": { "img-src": ["'self'", "https://img.example"], "default-src": ["'self'"] },
        "deny_features": ["camera", "microphone"],
        "set": { "X-Frame-Options": "SAMEORIGIN" },
        "without": ["Cross-Origin-Resource-Policy"],
    });
    host.configure(configuration).unwrap();
    for reply in [Reply::new(200).body("x"), Reply::new(304), Reply::new(503)] {
        let reply = reply.header("x-frame-options", "ALLOWALL").header("x-frame-options", "DENY");
        let reply = reply.header("x-powered-by", "php").header("cross-origin-resource-policy", "cross-origin");
        host.upstream(move |_| reply.clone());
        let exchange = host.get("/").send();
        let values = |name| exchange.response().header_values(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(values("x-frame-options"), ["SAMEORIGIN"], "{exchange}");
        assert_eq!(values("x-content-type-options"), ["nosniff"], "{exchange}");
        assert_eq!(values("strict-transport-security"), ["max-age=31536000; includeSubDomains"], "{exchange}");
        let policy = "default-src 'self'; img-src 'self' https://img.example";
        assert_eq!(values("content-security-policy"), [policy], "{exchange}");
        assert_eq!(values("permissions-policy"), ["camera=(), microphone=()"], "{exchange}");
        assert_eq!(values("cross-origin-resource-policy"), ["cross-origin"], "{exchange}");
        assert_eq!(values("x-powered-by"), [""; 0], "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_policy_can_only_be_reported(mut host: Host) {
    host.configure(json!({ "policy": { "default-src": ["'none'"] }, "report_only": true })).unwrap();
    let exchange = host.get("/").send();
    let header = exchange.response().header("content-security-policy-report-only").unwrap();
    assert_eq!(header, "default-src 'none'", "{exchange}");
    assert!(exchange.response().header("content-security-policy").is_none(), "{exchange}");
}

#[proxy_filter_host::test]
fn values_that_browsers_ignore_are_refused_with_the_field(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "policy": { "default-src": ["self"] } }), "policy: `self` needs single quotes"),
        (json!({ "policy": { "default-src": ["'none'", "a.example"] } }), "policy: `default-src` has 'none'"),
        (json!({ "policy": { "default src": [] } }), "policy: `default src`"),
        (json!({ "deny_features": ["camera=*"] }), "deny_features: `camera=*`"),
        (json!({ "set": { "a b": "c" } }), "set: `a b`"),
        (json!({ "without": ["a b"] }), "without[0]"),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
