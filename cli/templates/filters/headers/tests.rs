use proxy_filter_host::{Host, Reply};
use serde_json::json;

#[proxy_filter_host::test]
fn every_response_has_the_configured_header(mut host: Host) {
    host.configure(json!({ "name": "x-served-by", "value": "edge" })).unwrap();
    host.upstream(|_| Reply::new(404).header("x-served-by", "the upstream"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 404, "{exchange}");
    assert_eq!(exchange.response().header("x-served-by").unwrap(), "edge", "{exchange}");
}

#[proxy_filter_host::test]
fn a_configuration_without_a_value_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "name": "x-served-by" })).unwrap_err();
    assert!(refused.to_string().contains("missing field `value`"), "{refused}");
}
