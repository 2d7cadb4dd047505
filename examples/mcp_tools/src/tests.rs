//! Calls of tools, and messages that a server might read differently.

use proxy_filter_host::{Host, Outcome, Received};
use serde_json::{Value, json};

fn configure(host: &mut Host) {
    host.allow_on_headers_stop_iteration(true);
    host.configure(json!({ "tools": ["search", "read_file"], "max_body": 4096 })).unwrap();
}

/// Sends a body in two chunks. A refused one does not reach the upstream whole.
fn send(host: &mut Host, body: &str) -> Outcome {
    let at = (0..=body.len() / 2).rev().find(|at| body.is_char_boundary(*at)).unwrap();
    let (start, end) = body.split_at(at);
    let exchange = host.post("/mcp").header("content-type", "application/json").chunks([start, end]).send();
    let received = exchange.upstream().map(Received::text).unwrap_or_default();
    assert!(body.is_empty() || (received == body) == (exchange.status() == 200), "{body}: {exchange}");
    exchange
}

fn call(name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": name, "arguments": { "name": "x" } } })
}

#[proxy_filter_host::test]
fn calls_of_listed_tools_are_forwarded(mut host: Host) {
    configure(&mut host);
    for message in [
        call("search"),
        json!([call("read_file"), call("search")]),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": ["a"] }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [] } }),
    ] {
        let exchange = send(&mut host, &message.to_string());
        assert_eq!(exchange.status(), 200, "{exchange}");
    }
    for method in ["GET", "DELETE"] {
        assert_eq!(host.request(method, "/mcp").send().status(), 200, "{method}");
    }
}

#[proxy_filter_host::test]
fn calls_of_other_tools_are_refused_with_an_error_of_json_rpc(mut host: Host) {
    configure(&mut host);
    for message in [call("delete_file"), json!([call("search"), call("delete_file")]), call("Search"), call("search ")]
    {
        let exchange = send(&mut host, &message.to_string());
        assert_eq!(exchange.status(), 403, "{exchange}");
        let error: Value = serde_json::from_str(&exchange.response().text()).unwrap();
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32602)), "{exchange}");
    }
    let exchange = host.request("DELETE", "/mcp").body(call("delete_file").to_string()).send();
    assert_eq!(exchange.status(), 403, "{exchange}");
}

#[proxy_filter_host::test]
fn messages_that_a_server_might_read_differently_are_refused(mut host: Host) {
    configure(&mut host);
    let call = |method: &str, params: &str| format!("{{\"id\":7,{method},{params}}}");
    let (method, name) = ("\"method\":\"tools/call\"", "\"params\":{\"name\":\"search\"}");
    for body in [
        String::new(),
        "{".to_owned(),
        "7".to_owned(),
        "\u{feff}{}".to_owned(),
        "{}{}".to_owned(),
        call("\"method\":\"tools/list\",\"method\":\"tools/call\"", name),
        call("\"method\":\"tools/call\",\"method\":\"tools/list\"", name),
        call("\"method\":\"tools/list\",\"Method\":\"tools/call\"", name),
        call(method, "\"params\":{\"name\":\"delete\",\"name\":\"search\"}"),
        call(method, "\"params\":{\"name\":\"search\",\"Name\":\"delete\"}"),
        call(method, "\"params\":{\"name\":\"search\"},\"params\":{\"name\":\"delete\"}"),
        call(method, "\"params\":{\"name\":\"search\"},\"param\u{17f}\":{\"name\":\"delete\"}"),
        call(method, "\"params\":{\"name\":[\"search\"]}"),
        call(method, "\"params\":[\"search\"]"),
        call(method, "\"param\":{\"name\":\"search\"}"),
    ] {
        let exchange = send(&mut host, &body);
        assert_eq!(exchange.status(), 400, "{body}: {exchange}");
    }
    let exchange = host.post("/mcp").header("content-encoding", "gzip").body("x").send();
    assert_eq!((exchange.status(), exchange.upstream()), (415, None), "{exchange}");
    // An escape is another form of the same text.
    let exchange = send(&mut host, "{\"id\":7,\"m\\u0065thod\":\"tools\\/call\",\"params\":{\"name\":\"delete\"}}");
    assert_eq!(exchange.status(), 403, "{exchange}");
}
