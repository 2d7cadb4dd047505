//! Credentials that are known, wrong and malformed.

use proxy_filter_host::Host;
use serde_json::json;

/// The SHA-256 of `secret`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
/// `alice:secret`.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

fn configure(host: &mut Host) {
    host.configure(json!({ "realm": "a \"b\" \\", "users": { "alice": SECRET, "bob": SECRET } })).unwrap();
}

#[proxy_filter_host::test]
fn the_upstream_gets_the_user_and_not_the_password(mut host: Host) {
    configure(&mut host);
    for authorization in [ALICE, "basic  YWxpY2U6c2VjcmV0"] {
        let exchange = host.get("/").header("authorization", authorization).header("x-user", "root").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        let received = exchange.upstream().unwrap();
        assert_eq!(received.header("x-user").unwrap(), "alice", "{exchange}");
        assert!(received.header("authorization").is_none(), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn other_credentials_are_challenged(mut host: Host) {
    configure(&mut host);
    let values: [&[u8]; 8] = [
        b"",
        b"Basic",
        b"Basic !",
        b"Bearer YWxpY2U6c2VjcmV0",
        b"Basic YWxpY2U6U2VjcmV0", // alice:Secret
        b"Basic ZXZlOnNlY3JldA==", // eve:secret
        b"Basic YWxpY2U=",         // alice
        b"Basic \xff",
    ];
    for value in values {
        let exchange = host.get("/").header("authorization", value).send();
        assert_eq!((exchange.status(), exchange.upstream()), (401, None), "{exchange}");
        let challenge = exchange.response().header("www-authenticate").unwrap();
        assert_eq!(challenge, "Basic realm=\"a \\\"b\\\" \\\\\", charset=\"UTF-8\"", "{exchange}");
    }
    assert_eq!(host.get("/").send().status(), 401);
    // Envoy joins the values.
    let exchange = host.get("/").header("authorization", ALICE).header("authorization", "Basic eA==").send();
    assert_eq!((exchange.status(), exchange.upstream()), (401, None), "{exchange}");
}

#[proxy_filter_host::test]
fn malformed_hashes_are_refused_with_the_field(mut host: Host) {
    for hash in ["", "secret", &SECRET[1..], &format!("+{}", &SECRET[1..]), &format!("{SECRET}00")] {
        let refused = host.configure(json!({ "realm": "a", "users": { "alice": hash } })).unwrap_err();
        assert!(refused.to_string().contains("users.alice: a SHA-256 has 64"), "{hash}: {refused}");
    }
}
