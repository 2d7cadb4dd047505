use proxy_filter_host::{Host, Received, Reply};
use serde_json::json;
use std::time::Duration;

fn authorize(call: &Received) -> Reply {
    match call.header("authorization") {
        Some(token) if token == "Bearer ok" => Reply::new(200).header("x-user", "alice"),
        _ => Reply::new(403),
    }
}

fn configure(host: &mut Host) {
    host.configure(json!({ "cluster": "authz", "path": "/check", "timeout_ms": 200 })).unwrap();
}

#[proxy_filter_host::test]
fn the_service_decides_and_names_the_user(mut host: Host) {
    host.cluster("authz", authorize);
    configure(&mut host);
    let exchange = host.get("/").header("authorization", "Bearer ok").header("x-user", "root").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header_values("x-user"), ["alice"], "{exchange}");
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    assert!(exchange.upstream().is_none(), "{exchange}");
}

#[proxy_filter_host::test]
fn a_service_that_does_not_respond_in_time_is_an_outage(mut host: Host) {
    host.cluster("authz", |call| authorize(call).after(Duration::from_secs(2)));
    configure(&mut host);
    let exchange = host.get("/").header("authorization", "Bearer ok").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert!(exchange.upstream().is_none(), "{exchange}");
}

#[proxy_filter_host::test]
fn a_service_that_refuses_connections_is_an_outage(mut host: Host) {
    host.cluster_refusing_connections("authz");
    configure(&mut host);
    assert_eq!(host.get("/").header("authorization", "Bearer ok").send().status(), 503);
}
