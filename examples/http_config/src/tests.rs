//! The filter with good and bad configurations.

use proxy_filter_host::{Host, Reply};
use serde_json::json;

#[proxy_filter_host::test]
fn configured_headers_are_added(mut host: Host) {
    host.configure(json!({ "headers": [{ "name": "x-a", "value": "1" }, { "name": "x-b", "value": "2" }] })).unwrap();
    host.upstream(|_| Reply::new(200).header("x-a", "0"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header_values("x-a"), ["0", "1"], "{exchange}");
    assert_eq!(exchange.response().header("x-b"), Some("2".into()));
}

#[proxy_filter_host::test]
fn configured_headers_replace_existing_ones(mut host: Host) {
    host.configure(json!({ "headers": [{ "name": "x-a", "value": "1" }], "mode": "replace" })).unwrap();
    host.upstream(|_| Reply::new(200).header("x-a", "0").header("x-a", "00"));
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header_values("x-a"), ["1"], "{exchange}");
}

#[proxy_filter_host::test]
fn a_wrong_type_is_refused_with_the_path_of_the_field(mut host: Host) {
    host.configure(json!({ "headers": [{ "name": "x-a", "value": 1 }] })).unwrap_err();
    let logs = host.start_logs();
    assert!(
        logs.iter().any(|line| line.message.contains("headers[0].value: invalid type: integer `1`, expected a string")),
        "{logs:?}"
    );
}

#[proxy_filter_host::test]
fn no_configuration_is_refused_because_a_field_is_missing(mut host: Host) {
    host.configure("").unwrap_err();
    assert!(
        host.start_logs().iter().any(|line| line.message.contains("missing field `headers`")),
        "{:?}",
        host.start_logs()
    );
}

#[proxy_filter_host::test]
fn a_header_that_cannot_be_sent_is_refused_with_the_path_of_the_field(mut host: Host) {
    for (name, value, why) in [
        ("x a", "1", "headers[1].name: a header name has letters"),
        (":status", "200", "headers[1].name: this map does not have the pseudo-header"),
        ("", "1", "headers[1].name: a header needs a name"),
        ("x-a", "1\r\nset-cookie: a=b", "headers[1].value: a control byte in a header value"),
        ("Content-Length", "1", "headers[1].name: Envoy writes this field itself"),
    ] {
        let good = json!({ "name": "x-b", "value": "1" });
        let refused = host.configure(json!({ "headers": [good, { "name": name, "value": value }] })).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[test]
fn the_schema_in_the_package_is_that_of_the_configuration() {
    proxy_filter_host::check_schema("config.schema.json", schemars::schema_for!(crate::Config));
}
