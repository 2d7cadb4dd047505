//! Who gets in, and what an outage of the authorization service means.

use proxy_filter_host::{Host, Received, Reply};
use serde_json::json;
use std::time::Duration;

/// Knows alice. Everybody else has to say who they are, and mallory is not welcome.
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
fn whom_the_service_knows_passes_under_the_name_it_says(mut host: Host) {
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
fn whom_the_service_refuses_gets_its_answer(mut host: Host) {
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
fn a_body_waits_with_its_request(mut host: Host) {
    host.cluster("authz", |call| authorize(call).after(Duration::from_millis(100)));
    configure(&mut host, "deny");
    let exchange = host.post("/").header("authorization", "Bearer alice").chunks(["one ", "two"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "one two", "{exchange}");
}

/// A service that is down, in each of the ways a service can be.
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
fn an_outage_denies_if_the_operator_says_so(mut host: Host) {
    outages(&mut host);
    configure(&mut host, "deny");
    let mut seen = Vec::new();
    for path in OUTAGES {
        let exchange = host.get(path).header("authorization", "Bearer alice").send();
        assert!(exchange.upstream().is_none(), "{exchange}");
        assert_eq!(exchange.response().header("retry-after"), Some("1".into()), "{exchange}");
        seen.push((exchange.status(), exchange.messages().concat()));
    }
    assert!(seen.iter().all(|(status, why)| *status == 503 && why.contains("is of no help: ")), "{seen:?}");
    assert!(seen[3].1.ends_with("it answered 500"), "{seen:?}");
}

#[proxy_filter_host::test]
fn an_outage_lets_pass_without_a_user_if_the_operator_says_so(mut host: Host) {
    outages(&mut host);
    configure(&mut host, "allow");
    for path in OUTAGES {
        let exchange = host.get(path).header("x-user", "root").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header("x-user"), None, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_cluster_that_does_not_exist_is_an_outage(mut host: Host) {
    configure(&mut host, "deny");
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert!(exchange.messages().concat().contains("no such cluster"), "{exchange}");
}

#[proxy_filter_host::test]
fn a_client_that_leaves_is_not_waited_for(mut host: Host) {
    host.cluster("authz", |call| authorize(call).after(Duration::from_millis(250)));
    configure(&mut host, "deny");
    let exchange = host.get("/").header("authorization", "Bearer alice").leave_after(Duration::from_millis(80)).send();
    assert!(exchange.upstream().is_none(), "{exchange}");
    let later = host.advance(Duration::from_millis(500));
    assert!(later.messages().is_empty(), "{later}");
}

#[proxy_filter_host::test]
fn another_policy_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "cluster": "authz", "on_outage": "maybe" })).unwrap_err();
    assert!(refused.to_string().contains("on_outage"), "{refused}");
}
