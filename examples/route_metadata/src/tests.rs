//! What the metadata of a route does to its requests.

use proxy_filter_host::{Host, MetadataSource, Reply};
use serde_json::{Value, json};

fn route(host: &mut Host, settings: &Value) {
    host.metadata(MetadataSource::Route, json!({ "com.example.route": settings }));
    host.configure("").unwrap();
}

#[proxy_filter_host::test]
fn requests_of_a_route_without_metadata_are_unchanged(mut host: Host) {
    let exchange = host.request("DELETE", "/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[proxy_filter_host::test]
fn metadata_of_other_filters_is_ignored(mut host: Host) {
    host.metadata(MetadataSource::Route, json!({ "com.example.other": { "maintenance": true } }));
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[proxy_filter_host::test]
fn other_methods_are_refused_with_those_that_are_allowed(mut host: Host) {
    route(&mut host, &json!({ "methods": ["GET", "HEAD"] }));
    assert_eq!(host.get("/").send().status(), 200);
    let exchange = host.post("/").send();
    assert_eq!(exchange.status(), 405, "{exchange}");
    assert_eq!(exchange.response().header("allow"), Some("GET, HEAD".into()), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn a_route_in_maintenance_sends_a_local_reply(mut host: Host) {
    route(&mut host, &json!({ "maintenance": true, "response_headers": { "retry-after": "600" } }));
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (503, "back soon\n"), "{exchange}");
    assert_eq!(exchange.response().header("retry-after"), Some("600".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn responses_get_the_headers_of_their_route(mut host: Host) {
    route(&mut host, &json!({ "response_headers": { "cache-control": "no-store", "x-empty": "" } }));
    host.upstream(|_| Reply::new(200).header("cache-control", "public"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header_values("cache-control"), ["no-store"], "{exchange}");
    assert_eq!(exchange.response().header("x-empty"), Some("".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn a_mistake_fails_the_requests_of_that_route_and_names_the_field(mut host: Host) {
    for (settings, mistake) in [
        (json!({ "maintenance": "yes" }), "maintenance: invalid type: string \"yes\", expected a boolean"),
        (json!({ "methods": [1] }), "methods[0]: invalid type"),
        (json!({ "method": "GET" }), "unknown field `method`"),
    ] {
        route(&mut host, &settings);
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 500, "{exchange}");
        exchange.expect_error(mistake);
    }
}
