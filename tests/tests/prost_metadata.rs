//! Metadata as the types of `prost-types`: the same in the embedded host and in Envoy.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, MetadataSource};
use serde_json::json;

#[proxy_filter_host::test(guest = "prost_metadata")]
fn nested_structs_are_read_as_the_types_of_prost(mut host: Host) {
    let route = json!({
        "example.route": {
            "nested": { "inner": { "deep": "x", "deeper": [{ "end": null }] }, "n": -7 },
            "list": [1, "two", false, null, []], "empty": "", "empty_map": {}, "ratio": 1.5, "flag": true,
        },
    });
    host.metadata(MetadataSource::Route, route);
    host.metadata(MetadataSource::Node, json!({ "stage": "test", "shard": 3, "zones": { "a": true } }));
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    let nested = "{inner: {deep: \\\"x\\\", deeper: [{end: null}]}, n: -7}";
    let expected = [
        format!(
            "route: Some(\"{{empty: \\\"\\\", empty_map: {{}}, flag: true, list: [1, \\\"two\\\", false, null, []], nested: {nested}, \
             ratio: 1.5}}\")"
        ),
        "absent: None".into(),
        format!("nested: Some(\"{nested}\")"),
        "no key: None".into(),
        "node: Some(\"{shard: 3, stage: \\\"test\\\", zones: {a: true}}\")".into(),
    ];
    assert_eq!(exchange.messages(), expected, "{exchange}");
}
