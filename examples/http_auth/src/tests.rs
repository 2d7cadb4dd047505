//! The requests that are forwarded, and the user that the upstream receives.

use proxy_filter_host::Host;
use serde_json::json;

fn configure(host: &mut Host) {
    host.configure(json!({ "realm": "api", "tokens": { "s3cr3t": "alice" } })).unwrap();
}

#[proxy_filter_host::test]
fn a_known_token_is_replaced_by_the_name_of_the_user(mut host: Host) {
    configure(&mut host);
    let exchange = host.get("/").header("authorization", "Bearer s3cr3t").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header("x-user"), Some("alice".into()));
    assert_eq!(upstream.header("authorization"), None);
}

#[proxy_filter_host::test]
fn a_request_without_a_token_gets_a_challenge(mut host: Host) {
    configure(&mut host);
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 401, "{exchange}");
    assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer realm=\"api\"".into()));
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn another_scheme_is_no_token(mut host: Host) {
    configure(&mut host);
    let exchange = host.get("/").header("authorization", "Basic czNjcjN0").send();
    assert_eq!(exchange.status(), 401, "{exchange}");
}

#[proxy_filter_host::test]
fn the_scheme_has_any_case_and_one_or_more_spaces_follow(mut host: Host) {
    configure(&mut host);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        for (between, status) in [(" ", 200), ("  ", 200), ("        ", 200), ("", 401), ("\t", 401), ("=", 401)] {
            let exchange = host.get("/").header("authorization", format!("{scheme}{between}s3cr3t")).send();
            assert_eq!(exchange.status(), status, "{exchange}");
        }
    }
    for scheme in ["Bear", "Bearers", "Token", "Bearer:", "\u{e9}Bearer"] {
        let exchange = host.get("/").header("authorization", format!("{scheme} s3cr3t")).send();
        assert_eq!(exchange.status(), 401, "{exchange}");
    }
}

/// If parsers could take the realm for two values, an attacker could write the second one.
#[proxy_filter_host::test]
fn the_realm_is_a_quoted_string(mut host: Host) {
    for (realm, quoted) in [
        ("", r#""""#),
        ("a b", r#""a b""#),
        (r#"a"b"#, r#""a\"b""#),
        (r"a\", r#""a\\""#),
        (r#"\", Basic realm=""#, r#""\\\", Basic realm=\"""#),
    ] {
        host.configure(json!({ "realm": realm, "tokens": {} })).unwrap();
        let challenge = format!("Bearer realm={quoted}");
        assert_eq!(host.get("/").send().response().header("www-authenticate"), Some(challenge.into()), "{realm}");
    }
}

#[proxy_filter_host::test]
fn bytes_that_no_header_can_have_are_refused_with_the_configuration(mut host: Host) {
    for bad in ["a\r\nb", "a\n", "\u{0}", "\u{1}", "\u{7f}"] {
        for configuration in [json!({ "realm": bad, "tokens": {} }), json!({ "tokens": { "t": "alice", "s": bad } })] {
            let refused = host.configure(configuration).unwrap_err();
            assert!(refused.to_string().contains("a control byte in a header value"), "{refused}");
        }
    }
}

#[proxy_filter_host::test]
fn only_the_first_authorization_counts_and_none_is_forwarded(mut host: Host) {
    configure(&mut host);
    for (first, status) in [("Bearer s3cr3t", 200), ("Bearer guess", 403)] {
        let second = if status == 200 { "Bearer guess" } else { "Bearer s3cr3t" };
        let exchange = host.get("/").header("authorization", first).header("authorization", second).send();
        // A host that joins both knows no such token.
        assert!(exchange.status() == status || exchange.status() == 403, "{exchange}");
        assert!(exchange.upstream().is_none_or(|upstream| upstream.header("authorization").is_none()), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn an_unknown_token_is_forbidden(mut host: Host) {
    configure(&mut host);
    for token in ["s3cr3", "s3cr3t!", "", "\u{fe}"] {
        let exchange = host.get("/").header("authorization", format!("Bearer {token}")).send();
        // Hosts trim values: "Bearer " arrives as "Bearer".
        assert_eq!(exchange.status(), if token.is_empty() { 401 } else { 403 }, "{token}: {exchange}");
        assert!(exchange.upstream().is_none());
    }
}

#[proxy_filter_host::test]
fn no_client_can_set_the_name_of_the_user(mut host: Host) {
    configure(&mut host);
    let exchange =
        host.get("/").header("authorization", "Bearer s3cr3t").header("x-user", "root").header("x-user", "bob").send();
    assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
}

#[proxy_filter_host::test]
fn a_request_with_a_body_is_refused_before_the_body(mut host: Host) {
    configure(&mut host);
    let exchange = host.post("/").chunks(["a", "b"]).send();
    assert_eq!(exchange.status(), 401, "{exchange}");
    assert!(!exchange.callbacks().contains(&"proxy_on_request_body"), "{exchange}");
}

#[proxy_filter_host::test]
fn grpc_requests_get_a_grpc_error(mut host: Host) {
    configure(&mut host);
    let exchange = host.post("/service/Method").header("content-type", "application/grpc").http2().send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.response().header("grpc-status"), Some("16".into()), "{exchange}");
}
