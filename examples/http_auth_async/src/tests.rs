//! The requests that are forwarded, and the effect of an outage of the authorization service.

use proxy_filter_host::{Host, Received, Reply};
use serde_json::json;
use std::time::Duration;

/// Knows alice, refuses mallory, and challenges all others.
fn authorize(call: &Received) -> Reply {
    match call.header("authorization").unwrap_or_default().to_string().as_str() {
        "Bearer alice" => Reply::new(200).header("x-user", "alice"),
        "Bearer mallory" => Reply::new(403).body("not you\n"),
        _ => Reply::new(401).header("www-authenticate", "Bearer").body("who are you?\n"),
    }
}

fn configure(host: &mut Host, on_outage: &str) {
    host.configure(json!({ "cluster": "authz", "timeout_ms": 300, "on_outage": on_outage })).unwrap();
}

#[proxy_filter_host::test]
fn an_accepted_request_is_forwarded_with_the_user_that_the_service_names(mut host: Host) {
    host.cluster("authz", authorize);
    configure(&mut host, "deny");
    let exchange = host.get("/a?b=c").header("authorization", "Bearer alice").header("x-user", "root").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
    let calls = exchange.calls("authz");
    assert_eq!(calls.len(), 1, "{exchange}");
    assert_eq!(calls[0].header(":path"), Some("/check".into()));
    assert_eq!(calls[0].header("x-original-path"), Some("/a?b=c".into()));
    assert_eq!(calls[0].header("x-original-method"), Some("GET".into()));
}

#[proxy_filter_host::test]
fn a_refused_client_gets_the_response_of_the_service(mut host: Host) {
    host.cluster("authz", authorize);
    configure(&mut host, "allow");
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (401, "who are you?\n"), "{exchange}");
    assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()), "{exchange}");
    let exchange = host.get("/").header("authorization", "Bearer mallory").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "not you\n"), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn a_paused_request_is_forwarded_with_its_body(mut host: Host) {
    host.cluster("authz", |call| authorize(call).after(Duration::from_millis(100)));
    configure(&mut host, "deny");
    let exchange = host.post("/").header("authorization", "Bearer alice").chunks(["one ", "two"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "one two", "{exchange}");
}

/// The kinds of outages of a service.
fn outages(host: &mut Host) {
    host.cluster("authz", |call| match call.header("x-original-path").unwrap_or_default().to_string().as_str() {
        "/slow" => authorize(call).after(Duration::from_millis(900)),
        "/reset" => Reply::reset(),
        "/cut" => Reply::new(200).header("x-user", "alice").body("half an answer").cut_off(),
        _ => Reply::new(500),
    });
}

const OUTAGES: [&str; 4] = ["/slow", "/reset", "/cut", "/broken"];

#[proxy_filter_host::test]
fn an_outage_denies_under_the_closed_policy(mut host: Host) {
    outages(&mut host);
    configure(&mut host, "deny");
    let mut seen = Vec::new();
    for path in OUTAGES {
        let exchange = host.get(path).header("authorization", "Bearer alice").send();
        assert!(exchange.upstream().is_none(), "{exchange}");
        assert_eq!(exchange.response().header("retry-after"), Some("1".into()), "{exchange}");
        seen.push((exchange.status(), exchange.messages().concat()));
    }
    assert!(seen.iter().all(|(status, why)| *status == 503 && why.contains("is unavailable: ")), "{seen:?}");
    assert!(seen[3].1.ends_with("responded with 500"), "{seen:?}");
}

#[proxy_filter_host::test]
fn an_outage_forwards_without_a_user_under_the_open_policy(mut host: Host) {
    outages(&mut host);
    configure(&mut host, "allow");
    for path in OUTAGES {
        let exchange = host.get(path).header("x-user", "root").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header("x-user"), None, "{exchange}");
    }
}

/// Every class of status except 200, 401 and 403, under both policies: only those from 500 are
/// outages.
#[proxy_filter_host::test]
fn a_response_that_a_client_can_cause_is_not_an_outage(mut host: Host) {
    host.cluster("authz", |call| Reply::new(call.header("x-original-path").unwrap().to_string()[1..].parse().unwrap()));
    for on_outage in ["deny", "allow"] {
        configure(&mut host, on_outage);
        for status in (201..500).step_by(3).chain([400, 404, 413, 414, 429, 431, 499, 500, 503, 599]) {
            if matches!(status, 304 | 401 | 403) {
                continue;
            }
            let exchange = host.get(&format!("/{status}")).send();
            let expected = match (status, on_outage) {
                (..500, _) => 403,
                (_, "deny") => 503,
                _ => 200,
            };
            assert_eq!(exchange.status(), expected, "{status}: {exchange}");
            assert_eq!(exchange.upstream().is_some(), expected == 200, "{status}: {exchange}");
            let at_info =
                exchange.messages().iter().any(|line| line.starts_with("the authorization service responded with"));
            assert_eq!(at_info, status < 500, "{status}: {exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn a_request_too_large_for_the_service_is_refused_under_every_policy(mut host: Host) {
    host.cluster("authz", authorize);
    for on_outage in ["deny", "allow"] {
        configure(&mut host, on_outage);
        for length in [7168, 9000, 50_000] {
            let long = "a".repeat(length);
            let token = host.get("/").header("authorization", format!("Bearer {long}")).send();
            let several = host.get("/").header("authorization", "Bearer alice").header("authorization", &long).send();
            let path = host.get(&format!("/{long}")).header("authorization", "Bearer alice").send();
            for exchange in [token, several, path] {
                assert_eq!((exchange.status(), exchange.calls("authz").len()), (431, 0), "{exchange}");
                assert!(exchange.upstream().is_none() && exchange.messages().is_empty(), "{exchange}");
            }
        }
    }
    let exchange = host.get(&format!("/{}", "a".repeat(7000))).header("authorization", "Bearer alice").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

/// The upstream gets all of them too.
#[proxy_filter_host::test]
fn the_service_receives_every_authorization(mut host: Host) {
    host.cluster("authz", |call| {
        let all = call.header_values("authorization").iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Reply::new(if all.replace(' ', "") == "Bearera,Bearerb" { 200 } else { 401 })
    });
    configure(&mut host, "deny");
    let exchange = host.get("/").header("authorization", "Bearer a").header("authorization", "Bearer b").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

/// A service that awaits the body of this `content-length` would be blocked for as long as a client
/// chooses.
#[proxy_filter_host::test]
fn the_service_receives_the_configured_headers_and_none_about_the_message(mut host: Host) {
    host.cluster("authz", |_| Reply::new(200));
    let shown = ["X-Tenant", "content-length", "transfer-encoding", "host", "connection", "te"];
    host.configure(json!({ "cluster": "authz", "headers": shown, "on_outage": "allow" })).unwrap();
    let request = host.post("/").header("x-tenant", "a").header("x-tenant", "b");
    let exchange = request.header("authorization", "Bearer alice").body("four").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let call = &exchange.calls("authz")[0];
    assert_eq!(call.header_values("x-tenant"), ["a", "b"], "{exchange}");
    for left_out in ["authorization", "transfer-encoding"] {
        assert_eq!(call.header(left_out), None, "{left_out}: {exchange}");
    }
    assert!(call.header("content-length").is_none_or(|length| length == "0"), "{exchange}");
}

#[proxy_filter_host::test]
fn every_challenge_is_relayed_in_order(mut host: Host) {
    host.cluster("authz", |call| {
        let status = call.header("x-original-path").unwrap().to_string()[1..].parse().unwrap();
        let reply = Reply::new(status).header("www-authenticate", "Negotiate").header("x-secret", "inside");
        reply.header("www-authenticate", r#"Basic realm="x", charset="UTF-8""#).header("www-authenticate", "Bearer")
    });
    configure(&mut host, "deny");
    for status in [401, 403] {
        let exchange = host.get(&format!("/{status}")).send();
        assert_eq!(exchange.status(), status, "{exchange}");
        let challenges = exchange.response().header_values("www-authenticate");
        assert_eq!(challenges, ["Negotiate", r#"Basic realm="x", charset="UTF-8""#, "Bearer"], "{exchange}");
        assert_eq!(exchange.response().header("x-secret"), None, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_body_is_relayed_with_its_type_and_its_encoding(mut host: Host) {
    for (media_type, encoding, body) in [
        (Some("application/json; charset=utf-8"), None, &b"{}"[..]),
        (Some("text/html"), Some("gzip"), b"\x1f\x8b\x08"),
        (Some("application/problem+json"), Some("br"), b"\x0b\xff"),
        (None, None, b"text\n"),
        (None, None, b""),
    ] {
        host.cluster("authz", move |_| {
            let reply = media_type.map_or(Reply::new(403), |of| Reply::new(403).header("content-type", of));
            encoding.map_or(reply.clone(), |of| reply.header("content-encoding", of)).body(body)
        });
        configure(&mut host, "deny");
        let exchange = host.get("/").send();
        assert_eq!((exchange.status(), exchange.response().body.as_slice()), (403, body), "{exchange}");
        let expected = media_type.or_else(|| (!body.is_empty()).then_some("text/plain")); // the host's
        assert_eq!(exchange.response().header("content-type"), expected.map(Into::into), "{exchange}");
        assert_eq!(exchange.response().header("content-encoding"), encoding.map(Into::into), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_grpc_request_gets_a_grpc_error_whatever_the_type_of_the_refusal(mut host: Host) {
    host.cluster("authz", |_| Reply::new(401).header("content-type", "application/json").body("{}"));
    configure(&mut host, "deny");
    let exchange = host.post("/service/Method").header("content-type", "application/grpc").http2().send();
    assert_eq!(exchange.response().header("grpc-status"), Some("16".into()), "{exchange}");
    assert_eq!(exchange.response().header_values("content-type"), ["application/grpc"], "{exchange}");
}

#[proxy_filter_host::test(embedded)]
fn log_lines_about_outages_are_rate_limited(mut host: Host) {
    outages(&mut host);
    configure(&mut host, "allow");
    let lines: usize = (0..100).map(|_| host.get("/broken").send().messages().len()).sum();
    assert!((1..=20).contains(&lines), "{lines}");
}

#[proxy_filter_host::test]
fn a_cluster_that_does_not_exist_is_an_outage(mut host: Host) {
    configure(&mut host, "deny");
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert!(exchange.messages().concat().contains("no such cluster"), "{exchange}");
}

#[proxy_filter_host::test]
fn a_client_disconnect_cancels_the_call(mut host: Host) {
    host.cluster("authz", |call| authorize(call).after(Duration::from_millis(250)));
    configure(&mut host, "deny");
    let exchange =
        host.get("/").header("authorization", "Bearer alice").disconnect_after(Duration::from_millis(80)).send();
    assert!(exchange.upstream().is_none(), "{exchange}");
    let later = host.advance(Duration::from_millis(500));
    assert!(later.messages().is_empty(), "{later}");
}

#[proxy_filter_host::test]
fn an_unknown_policy_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "cluster": "authz", "on_outage": "maybe" })).unwrap_err();
    assert!(refused.to_string().contains("on_outage"), "{refused}");
}
