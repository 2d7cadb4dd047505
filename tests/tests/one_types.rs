//! Filters that are one type and one attribute.
#![allow(clippy::unwrap_used, reason = "this is a test")]
#![allow(unreachable_pub, reason = "the guest is a module of its own")]

use proxy_filter_host::{Host, Reply};
use serde_json::json;

/// The same filter as native code.
#[path = "../guests/examples/one_type.rs"]
mod configured;

#[proxy_filter_host::test(guest = "one_type", module = configured)]
fn each_stream_has_a_context_made_from_the_configuration(mut host: Host) {
    host.configure(json!({ "value": "a" })).unwrap();
    host.upstream(|_| Reply::new(200));
    let exchange = host.get("/1").send();
    assert_eq!(exchange.response().header("x-stamp"), Some("a /1".into()), "{exchange}");
    host.reconfigure(json!({ "value": "b" })).unwrap();
    let exchange = host.get("/2").send();
    assert_eq!(exchange.response().header("x-stamp"), Some("b /2".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "one_type", module = configured)]
fn a_configuration_that_cannot_be_read_is_refused_with_the_path_of_the_field(mut host: Host) {
    let refused = host.configure(json!({ "value": 1 })).unwrap_err().to_string();
    assert!(refused.contains("configuration: value: invalid type: integer `1`, expected a string"), "{refused}");
    let refused = host.configure(json!({})).unwrap_err().to_string();
    assert!(refused.contains("missing field `value`"), "{refused}");
}

#[proxy_filter_host::test(guest = "one_type", module = configured)]
fn streams_keep_the_configuration_that_they_began_with(mut host: Host) {
    host.configure(json!({ "value": "old" })).unwrap();
    let slow = host.get("/slow").before_response(|host| {
        host.reconfigure(json!({ "value": "new" })).unwrap();
        let exchange = host.get("/fast").send();
        assert_eq!(exchange.response().header("x-stamp"), Some("new /fast".into()), "{exchange}");
    });
    let exchange = slow.send();
    assert_eq!(exchange.response().header("x-stamp"), Some("old /slow".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "one_type_stateless")]
fn a_filter_whose_callbacks_do_not_use_self_has_no_state(mut host: Host) {
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-by"), Some("proxy-filter".into()), "{exchange}");
    assert_eq!(exchange.callbacks(), ["proxy_on_response_headers"], "{exchange}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn a_context_with_a_root_id_is_one_filter_of_several(mut host: Host) {
    host.root_id("stamp");
    host.configure(json!({ "value": 7 })).unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.upstream().unwrap().header("x-stamp"), Some("7".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn one_filter_of_several_refuses_a_bad_configuration(mut host: Host) {
    host.root_id("stamp");
    let refused = host.configure(json!({ "value": "7" })).unwrap_err().to_string();
    assert!(refused.contains("configuration: value: invalid type: string \"7\", expected u32"), "{refused}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn a_context_without_a_configuration_is_one_filter_of_several(mut host: Host) {
    host.root_id("plain");
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-plain"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn a_function_is_one_filter_beside_contexts(mut host: Host) {
    host.root_id("function");
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-function"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn a_root_id_of_no_filter_is_refused(mut host: Host) {
    host.root_id("other");
    let refused = host.configure("").unwrap_err().to_string();
    assert!(refused.contains("it has \"stamp\", \"plain\", \"guard\", \"function\""), "{refused}");
}

#[proxy_filter_host::test(guest = "one_types")]
fn a_context_of_connections_is_one_filter_of_several(mut host: Host) {
    host.root_id("guard");
    let connection = host.connect().send("123").send("456").upstream_answers(<[u8]>::to_vec).play();
    assert_eq!(connection.client().text(), "123456", "{connection}");
    let connection = host.connect().send("123456").send("78901").upstream_answers(<[u8]>::to_vec).play();
    assert_eq!(connection.upstream().unwrap().text(), "123456", "{connection}");
}
