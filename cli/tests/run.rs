//! `proxy-filter run`: exchanges from flags and from scripts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

mod common;

use common::{example, fails, ok};
use serde_json::{Value, json};
use std::path::PathBuf;

const SCRIPT: &str = r"
configuration: { cluster: authz, on_outage: deny }
clusters:
  authz:
    - when: { headers: { authorization: Bearer ok } }
      answer: { status: 200, headers: { x-user: alice }, after: 50ms }
    - answer: { status: 403 }
upstream: { status: 200, body: hello }
exchanges:
  - name: a caller with a token
    request: { path: /orders, headers: { authorization: Bearer ok } }
    expect: { status: 200, body: hello, reaches_upstream: true, calls: { authz: 1 } }
  - advance: 1s
  - name: a caller with a wrong token
    request: { headers: { authorization: Bearer no } }
    expect: { status: 403, reaches_upstream: false }
";

/// A script in a file of its own, which lives as long as the directory.
fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.yaml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn one_exchange_is_played_from_flags() {
    let module = example("http_headers");
    let text = ok(&["run", &module, "--path", "/hello", "--header", "a: b"]);
    assert!(text.contains("proxy_on_request_headers") && text.contains("it did not reach the upstream"), "{text}");
    let text = ok(&["run", &module, "--reply-header", "x-from: upstream", "--status", "404"]);
    assert!(text.contains("x-from: upstream") && text.contains(":status: 404"), "{text}");
}

#[test]
fn another_host_refuses_what_it_does_not_load_and_fails_what_it_lacks() {
    let text = fails(1, &["run", &example("http_headers"), "--host", "nginx"]);
    assert!(text.contains("nginx (ngx_wasm_module) does not load the module"), "{text}");
    assert!(text.contains("does not export proxy_on_vm_start"), "{text}");
    let (_directory, path) = script(SCRIPT);
    let arguments = ["run", &example("http_auth_callout"), "--script", path.to_str().unwrap(), "--host", "google"];
    let text = fails(1, &arguments);
    assert!(text.contains("proxy_http_call = Unimplemented (12)"), "{text}");
    fails(2, &[&arguments[..], &["--envoy"]].concat());
}

#[test]
fn a_script_is_played_and_its_expectations_are_met() {
    let (_directory, path) = script(SCRIPT);
    let text = ok(&["run", &example("http_auth_callout"), "--script", path.to_str().unwrap()]);
    assert!(text.contains("3 exchanges, 0 failed"), "{text}");
    assert!(text.contains("1000 ms pass"), "{text}");
}

/// Each expectation with a value that is not met, and the message of the command.
const WRONG: [(&str, &str, &str); 7] = [
    ("expect: { status: 200", "expect: { status: 204", "the status is 200, expected 204"),
    ("body: hello, reaches", "body: bye, reaches", "the body of the response is \"hello\", expected \"bye\""),
    ("body: hello, reaches", "body_contains: bye, reaches", "does not contain \"bye\""),
    ("reaches_upstream: true", "reaches_upstream: false", "the request reached the upstream"),
    ("reaches_upstream: true", "upstream: { headers: { x-user: bob } }", "expected `bob`"),
    ("calls: { authz: 1 }", "calls: { authz: 2 }", "the cluster `authz` received 1 calls, expected 2"),
    ("calls: { authz: 1 }", "logs: [no such line]", "no line of the log contains `no such line`"),
];

#[test]
fn each_unmet_expectation_is_reported_and_fails() {
    let module = example("http_auth_callout");
    for (right, wrong, message) in WRONG {
        let changed = SCRIPT.replacen(right, wrong, 1);
        assert_ne!(changed, SCRIPT);
        let (_directory, path) = script(&changed);
        let text = fails(1, &["run", &module, "--script", path.to_str().unwrap()]);
        assert!(text.contains(message), "{wrong}: {text}");
        assert!(text.contains("1 of 3 exchanges failed"), "{text}");
    }
}

#[test]
fn a_script_with_a_mistake_is_refused_with_its_place() {
    let module = example("http_auth_callout");
    for (text, message) in [
        ("exchnages: []", "exchnages"),
        ("exchanges: []", "expected `exchanges`, or `connections`"),
        ("upstream: { after: 300 }\nexchanges: [{}]", "is not a time"),
    ] {
        let (_directory, path) = script(text);
        let said = fails(1, &["run", &module, "--script", path.to_str().unwrap()]);
        assert!(said.contains(message), "{text}: {said}");
    }
}

#[test]
fn json_has_the_messages_before_and_after_the_filter() {
    let (_directory, path) = script(SCRIPT);
    let text = ok(&["run", &example("http_auth_callout"), "--script", path.to_str().unwrap(), "--json"]);
    let played: Value = serde_json::from_str(&text).unwrap();
    let first = &played["exchanges"][0];
    assert_eq!(first["status"], 200);
    assert_eq!(first["calls"]["authz"].as_array().unwrap().len(), 1);
    assert!(first["events"].as_array().unwrap().iter().any(|event| event["name"] == "proxy_on_request_headers"));
    assert_eq!(played["exchanges"][2]["request"]["after"], Value::Null);
}

#[test]
fn the_page_contains_the_exchanges_and_no_text_of_theirs_ends_its_script() {
    let (directory, path) = script(&SCRIPT.replace("body: hello", "body: \"</script><!--\""));
    let page = directory.path().join("page.html");
    let arguments = ["run", &example("http_auth_callout"), "--script", path.to_str().unwrap(), "--html"];
    let _ = common::run(&[&arguments[..], &[page.to_str().unwrap()]].concat());
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("a caller with a token"));
    assert_eq!(html.matches("</script>").count(), 1, "a body ended the script");
    assert!(!html.contains("https://") && !html.contains("src="), "the page needs the network");
}

#[test]
fn a_connection_is_played_to_an_upstream_that_echoes() {
    let module = example("tcp_echo_guard");
    let text = ok(&["run", &module, "--config", r#"{"prefixes": ["PING "]}"#, "--send", "PING 1"]);
    assert!(text.contains("client received 6 bytes: PING 1"), "{text}");
    let arguments = ["run", &module, "--config", r#"{"prefixes": ["PING "]}"#, "--send", "PING 1"];
    let played: Value = serde_json::from_str(&ok(&[&arguments[..], &["--json"]].concat())).unwrap();
    let connection = &played["connections"][0];
    assert_eq!((&connection["client"]["body"], &connection["upstream"]["size"]), (&json!("PING 1"), &json!(6)));
    for option in [&["--envoy"][..], &["--html", "page.html"]] {
        let said = fails(2, &[&arguments[..], option].concat());
        assert!(said.contains("are for exchanges"), "{said}");
    }
}

#[test]
fn violations_of_host_rules_are_reported_without_a_panic() {
    let (_directory, path) = script("exchanges: [{ request: { headers: { x-y: z } } }]");
    let text = ok(&["run", &example("http_headers"), "--script", path.to_str().unwrap()]);
    assert!(!text.contains("panicked"), "{text}");
}

/// A module that changes nothing.
fn nothing(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("nothing.wasm");
    let module = r#"(module (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024)))"#;
    std::fs::write(&path, wat::parse_str(module).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs a recording through a module that changes nothing. Returns the JSON.
#[track_caller]
fn recorded(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("recording");
    std::fs::write(&path, text).unwrap();
    let output = ok(&["run", &nothing(&directory), "--from", path.to_str().unwrap(), "--json"]);
    serde_json::from_str(&output).unwrap()
}

/// The values of a header of a message in the JSON.
fn header<'a>(message: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = message["headers"].as_array().unwrap();
    headers.iter().filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

fn har(entries: &Value) -> String {
    json!({ "log": { "version": "1.2", "creator": {}, "entries": entries } }).to_string()
}

#[test]
fn entries_of_chromium_are_played_with_their_responses() {
    let played = recorded(&har(&json!([{
        "_priority": "High", "_resourceType": "fetch", "startedDateTime": "2026-01-01T00:00:00.000Z", "time": 12.5,
        "request": {
            "method": "POST", "url": "https://shop.example/orders?page=2#top", "httpVersion": "http/2.0",
            "headers": [
                { "name": ":authority", "value": "shop.example" }, { "name": ":method", "value": "POST" },
                { "name": ":path", "value": "/orders?page=2" }, { "name": ":scheme", "value": "https" },
                { "name": "content-length", "value": "11" }, { "name": "content-type", "value": "application/json" },
                { "name": "x-b", "value": "1" }, { "name": "x-a", "value": "2" },
            ],
            "cookies": [{ "name": "session", "value": "s3cret" }, { "name": "theme", "value": "dark" }],
            "queryString": [{ "name": "page", "value": "2" }], "headersSize": -1, "bodySize": 11,
            "postData": { "mimeType": "application/json", "text": "{\"id\": \"ä\"}" },
        },
        "response": {
            "status": 201, "statusText": "", "httpVersion": "http/2.0", "redirectURL": "", "headersSize": -1,
            "bodySize": -1, "_transferSize": 300, "_error": null,
            "headers": [
                { "name": "content-encoding", "value": "br" }, { "name": "content-type", "value": "image/png" },
                { "name": "set-cookie", "value": "a=1; Path=/\nb=2; Secure" },
            ],
            "cookies": [], "content": { "size": 4, "mimeType": "image/png", "text": "iVBORw==", "encoding": "base64" },
        },
        "timings": { "wait": 10.1 }, "cache": {},
    }])));
    let exchange = &played["exchanges"][0];
    assert_eq!(exchange["name"], "entry 1: POST /orders?page=2");
    assert_eq!(exchange["status"], 201);
    let request = &exchange["request"]["after"];
    for (name, values) in [
        (":method", &["POST"][..]),
        (":path", &["/orders?page=2"]),
        (":authority", &["shop.example"]),
        ("cookie", &["session=s3cret; theme=dark"]),
        ("content-length", &["12"]),
    ] {
        assert_eq!(header(request, name), values, "{name}");
    }
    assert_eq!(request["body"], "{\"id\": \"ä\"}");
    let names: Vec<_> =
        request["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    let place = |name: &str| names.iter().position(|found| *found == name).unwrap();
    assert!(place("x-b") < place("x-a"), "the order of the headers changed: {names:?}");
    let response = &exchange["response"]["after"];
    assert_eq!(header(response, "set-cookie"), ["a=1; Path=/", "b=2; Secure"]);
    assert_eq!((header(response, "content-encoding"), response["size"].as_u64()), (vec![], Some(4)));
    let notes =
        json!(["entry 1: the body of the response is recorded decoded: it is played without its content-encoding"]);
    assert_eq!(played["notes"], notes);
}

#[test]
fn entries_of_firefox_and_mitmproxy_are_played() {
    let played = recorded(&har(&json!([
        {
            "request": {
                "method": "POST", "url": "http://localhost:8080/upload", "httpVersion": "HTTP/1.1", "bodySize": 9,
                "headers": [
                    { "name": "Host", "value": "localhost:8080" }, { "name": "Connection", "value": "keep-alive" },
                    { "name": "Transfer-Encoding", "value": "chunked" },
                    { "name": "Content-Type", "value": "application/x-www-form-urlencoded" },
                ],
                "postData": { "mimeType": "application/x-www-form-urlencoded", "text": null,
                    "params": [{ "name": "a b", "value": "c&d" }, { "name": "e", "value": "%20" }] },
            },
            "response": {
                "status": 304, "httpVersion": "HTTP/1.1", "headers": [{ "name": "Content-Length", "value": "5000" }],
                "content": { "size": 0 },
            },
        },
        {
            "request": {
                "method": "HEAD", "url": "http://localhost:8080/large", "httpVersion": "HTTP/2.0", "headers": [],
                "cookies": null, "queryString": [], "headersSize": 0, "bodySize": 0,
            },
            "response": {
                "status": 200, "httpVersion": "HTTP/2.0", "headers": [{ "name": "content-length", "value": "5000" }],
                "cookies": [{ "name": "id", "value": "7", "path": "/", "httpOnly": true, "expires": null }],
                "content": { "size": 5000, "compression": 0, "mimeType": "" },
            },
        },
    ])));
    assert_eq!(played["notes"], json!([]));
    let [form, head] = [0, 1].map(|index| &played["exchanges"][index]);
    let request = &form["request"]["after"];
    assert_eq!(request["body"], "a+b=c%26d&e=%20");
    assert_eq!(header(request, ":authority"), ["localhost:8080"]);
    assert_eq!((header(request, "content-length").len(), form["status"].as_u64()), (0, Some(304)));
    let response = &head["response"]["after"];
    assert_eq!((header(response, "content-length"), response["size"].as_u64()), (vec!["5000"], Some(0)));
    assert_eq!(header(response, "set-cookie"), ["id=7; Path=/; HttpOnly"]);
}

#[test]
fn a_recorded_web_socket_is_played_as_frames() {
    let websocket = |version: &str| {
        json!({
            "request": {
                "method": "GET", "url": "wss://shop.example/chat", "httpVersion": version,
                "headers": [
                    { "name": "Connection", "value": "Upgrade" }, { "name": "Upgrade", "value": "websocket" },
                    { "name": "Sec-WebSocket-Key", "value": "dGhlIHNhbXBsZSBub25jZQ==" },
                ],
            },
            "response": {
                "status": 101, "httpVersion": version, "content": { "size": 0 },
                "headers": [{ "name": "Connection", "value": "Upgrade" }, { "name": "Upgrade", "value": "websocket" }],
            },
            "_webSocketMessages": [
                { "type": "send", "time": 1.5, "opcode": 1, "data": "ping" },
                { "type": "receive", "time": 1.6, "opcode": 2, "data": "cG9uZw==" },
            ],
        })
    };
    let played = recorded(&har(&json!([websocket("HTTP/1.1")])));
    let exchange = &played["exchanges"][0];
    assert_eq!(exchange["status"], 101, "{exchange:#}");
    // A client's frame has a mask of four bytes.
    assert_eq!(exchange["request"]["after"]["size"], 2 + 4 + 4);
    assert_eq!(exchange["response"]["after"]["body"], "\u{fffd}\u{4}pong");
}

/// Each kind of entry that is left out or changed, and the note about it.
#[test]
fn each_change_of_a_recorded_entry_is_named() {
    let get = |url: &str| json!({ "method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [] });
    let response = |more: Value| {
        let mut response = json!({ "status": 200, "httpVersion": "HTTP/1.1", "headers": [] });
        response.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        response
    };
    let entries = [
        json!({ "request": get("http://a/"), "response": response(json!({})) }),
        json!({ "request": get("data:text/plain,hello"), "response": response(json!({})) }),
        json!({ "request": get("blob:http://a/1"), "response": response(json!({})) }),
        json!({ "request": { "method": "CONNECT", "url": "http://a/", "headers": [] } }),
        json!({ "request": get("http://a/blocked"), "response": { "status": 0, "_error": "net::ERR_BLOCKED_BY_CLIENT" } }),
        json!({ "request": get("http://a/none") }),
        json!({ "request": get("http://a/b"), "response": response(json!({ "content": { "size": 7 } })) }),
        json!({ "request": get("http://a/c"), "response": response(json!({ "content": { "text": "?", "encoding": "base64" } })) }),
        json!({ "request": { "method": "POST", "url": "http://a/", "headers": [], "bodySize": 5 } }),
        json!({ "request": { "method": "GET", "url": "https://a/", "httpVersion": "h3", "headers": [] },
            "response": response(json!({})) }),
        json!({ "request": { "method": "POST", "url": "http://a/",
            "headers": [{ "name": "content-type", "value": "multipart/form-data; boundary=x" }],
            "postData": { "params": [{ "name": "f", "fileName": "cat.png" }] } }, "response": response(json!({})) }),
        json!({ "request": get("http://a/"), "response": response(json!({})),
            "_webSocketMessages": [{ "type": "send", "opcode": 1, "data": "a" }] }),
    ];
    let played = recorded(&har(&json!(entries)));
    let notes: Vec<_> = played["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    let unanswered = "no response is recorded: the upstream sends its default response";
    let expected = [
        "entry 2: left out: a `data:` URL is no HTTP request".to_owned(),
        "entry 3: left out: a `blob:` URL is no HTTP request".to_owned(),
        "entry 4: left out: a CONNECT request opens a tunnel".to_owned(),
        format!("entry 5: {}", unanswered.replace(':', " (net::ERR_BLOCKED_BY_CLIENT):")),
        format!("entries 6, 9: {unanswered}"),
        "entry 7: of the body of the response, 0 of 7 bytes are recorded".to_owned(),
        "entry 8: the body of the response is no base64: it is played without".to_owned(),
        "entry 9: the body of the request is not recorded, 5 bytes: it is played without".to_owned(),
        "entry 10: HTTP/3 is played as HTTP/2".to_owned(),
        "entry 11: the content of the file `cat.png` is not recorded: it is played empty".to_owned(),
        "entry 12: the messages of a WebSocket without an upgrade of HTTP/1 are not played".to_owned(),
    ];
    assert_eq!(notes, expected);
    assert_eq!(played["exchanges"].as_array().unwrap().len(), entries.len() - 3);
    assert_eq!(played["exchanges"][1]["response"]["after"]["body"], "hello from the upstream\n");
    let multipart = &played["exchanges"][7]["request"]["after"]["body"];
    let body = "--x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"cat.png\"\r\n\r\n\r\n--x--\r\n";
    assert_eq!(multipart, body);
}

#[test]
fn an_exchange_that_the_host_does_not_play_is_reported_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("early.har");
    let entry = json!({ "request": { "method": "GET", "url": "http://a/" }, "response": { "status": 103 } });
    std::fs::write(&path, har(&json!([entry]))).unwrap();
    let text = fails(1, &["run", &nothing(&directory), "--from", path.to_str().unwrap()]);
    assert!(text.contains("the exchange is not played: the upstream's only response has the status 103"), "{text}");
}

#[test]
fn each_form_of_a_line_makes_the_same_request() {
    let own = [
        r#"{"method": "PUT", "path": "/a?b", "authority": "shop.example", "headers": {"x-user": "alice"}, "body": "hi"}"#,
        r#"{"method": "PUT", "url": "https://shop.example/a?b", "headers": [["x-user", "alice"]], "body_base64": "aGk="}"#,
        r#"{":method": "PUT", ":path": "/a?b", "host": "shop.example", "headers": [{"name": "x-user", "value": "alice"}], "body": {"base64": "aGk="}}"#,
        r#"{"headers": {":method": "PUT", ":path": "/a?b", ":authority": "shop.example", "x-user": ["alice"], "content-length": "2"}, "body": "hi"}"#,
        r#"{"http_buffered_trace": {"request": {"headers": [{"key": ":method", "value": "PUT"}, {"key": ":path", "value": "/a?b"},
            {"key": ":authority", "value": "shop.example"}, {"key": "x-user", "value": "alice"}], "body": {"truncated": false, "as_bytes": "aGk="}},
            "response": {"headers": [{"key": ":status", "value": "200"}], "body": {"truncated": false, "as_string": "hello"}}}}"#,
    ];
    let played = recorded(&own.join("\n"));
    assert_eq!(played["notes"], json!([]));
    let exchanges = played["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), own.len());
    for (exchange, line) in exchanges.iter().zip(own) {
        let request = &exchange["request"]["after"];
        for (name, value) in
            [(":method", "PUT"), (":path", "/a?b"), (":authority", "shop.example"), ("x-user", "alice")]
        {
            assert_eq!(header(request, name), [value], "{line}");
        }
        assert_eq!(request["body"], "hi", "{line}");
    }
    assert_eq!(exchanges[4]["response"]["after"]["body"], "hello");
}

#[test]
fn a_line_may_have_the_response_of_the_upstream() {
    let lines = [
        r#"{"path": "/", "response": {"status": 404, "headers": {"x-from": "recording"}, "body": {"code": 7}}}"#,
        r#"{"path": "/", "status": 503}"#,
        r#"{"path": "/", "http2": true, "response": {"body_base64": "aGk=", "trailers": {"x-end": "1"}}}"#,
    ];
    let played = recorded(&lines.join("\n"));
    let statuses: Vec<_> = (0..3).map(|index| played["exchanges"][index]["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(404), Some(503), Some(200)]);
    let response = &played["exchanges"][0]["response"]["after"];
    assert_eq!((header(response, "x-from"), &response["body"]), (vec!["recording"], &json!("{\"code\":7}")));
    assert_eq!(played["exchanges"][2]["response"]["after"]["trailers"], json!([["x-end", "1"]]));
}

#[test]
fn an_access_log_of_envoy_is_played_and_its_other_lines_are_named() {
    let istio = json!({
        "authority": "shop.example", "bytes_received": 12, "bytes_sent": 0, "connection_termination_details": null,
        "duration": 3, "method": "POST", "path": "/orders", "protocol": "HTTP/2", "request_id": "r-1",
        "response_code": 403, "response_flags": "-", "user_agent": "curl/8", "x_forwarded_for": "203.0.113.7",
        "upstream_cluster": "outbound|80||shop",
    });
    let gateway = json!({
        ":authority": "shop.example", "method": "GET", "x-envoy-origin-path": "/a", "protocol": "HTTP/1.1",
        "response_code": 200, "user-agent": "-", "x-request-id": "r-2", "x-forwarded-for": "203.0.113.8", "duration": 1,
    });
    let tcp = json!({ "method": null, "path": null, "protocol": null, "response_code": 0, "duration": 5 });
    let played = recorded(&format!("[info] starting\n{istio}\n{gateway}\n{tcp}\n"));
    let exchanges = played["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.iter().map(|exchange| exchange["status"].as_u64().unwrap()).collect::<Vec<_>>(), [403, 200]);
    let request = &exchanges[0]["request"]["after"];
    for (name, value) in [(":method", "POST"), (":path", "/orders"), ("user-agent", "curl/8"), ("x-request-id", "r-1")]
    {
        assert_eq!(header(request, name), [value]);
    }
    assert!(header(&exchanges[1]["request"]["after"], "user-agent").is_empty());
    let notes = played["notes"].to_string();
    for note in [
        "line 1: left out: it is no JSON object",
        "line 2: the body of the request is not recorded",
        "lines 2, 3: the key `duration` is no part of an exchange",
        "line 4: left out: it has neither a path nor a url",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
}

#[test]
fn a_recording_with_a_mistake_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("recording");
    for (text, message) in [
        ("", "no exchange can be played: expected a HAR, or lines of JSON"),
        ("exchanges: []", "line 1: left out: it is no JSON object"),
        (r#"{"log": {"entries": []}}"#, "no exchange can be played"),
        ("{\"log\": {\n\"entries\": [}", "it is no JSON: expected value at line 2"),
        (r#"{"log": {"entries": [{"request": {"method": "GET"}}]}}"#, "entry 1: missing field `url`"),
        ("{\"path\": \"/\"}\n{\"path\": []}", "line 2: `path` is [], expected a text"),
        (r#"{"path": "/", "headers": 7}"#, "line 1: headers are an object, a list of pairs"),
        (r#"{"path": "/", "body_base64": "?"}"#, "line 1: the body is no base64"),
        (r#"{"path": "/", "response": {"status": "ok"}}"#, "line 1: `ok` is not a status"),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = fails(1, &["run", &nothing(&directory), "--from", path.to_str().unwrap()]);
        assert!(said.contains(message), "{text}: {said}");
    }
}

#[test]
fn the_services_of_a_recording_are_those_of_a_script_or_of_flags() {
    let (directory, script) = script("configuration: { cluster: authz }\nclusters: { authz: { status: 403 } }");
    let har = directory.path().join("traffic.har");
    let entry = json!({ "request": { "method": "GET", "url": "http://a/" } });
    std::fs::write(&har, self::har(&json!([entry]))).unwrap();
    let (module, har, script) = (example("http_auth_callout"), har.to_str().unwrap(), script.to_str().unwrap());
    let text = ok(&["run", &module, "--from", har, "--script", script]);
    assert!(text.contains(":status: 403"), "{text}");
    let text = ok(&["run", &module, "--from", har, "--config", r#"{"cluster": "authz"}"#, "--cluster", "authz=401"]);
    assert!(text.contains(":status: 401"), "{text}");
    let said = fails(2, &["run", &module, "--script", har]);
    assert!(said.contains("read recorded exchanges with --from"), "{said}");
    fails(2, &["run", &module, "--from", har, "--path", "/"]);
    std::fs::write(script, SCRIPT).unwrap();
    let said = fails(1, &["run", &module, "--from", har, "--script", script]);
    assert!(said.contains("expected no `exchanges`"), "{said}");
}

/// Functions whose instructions are easy to count. A call is 1, in the function that begins.
const COUNTED: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (type $number (func (param i32) (result i32)))
    (memory (export "memory") 1)
    (table 1 funcref)
    (elem (i32.const 0) $leaf)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (type $number) i32.const 1024)
    (func $leaf (type $number) local.get 0 i32.const 1 i32.add)
    (func $loops (result i32) (local i32)
        loop
            local.get 0 call $leaf local.tee 0 i32.const 10 i32.lt_u br_if 0
        end
        local.get 0)
    (func $recursive (type $number)
        local.get 0
        if (result i32)
            local.get 0 i32.const 1 i32.sub call $recursive
        else
            i32.const 0
        end)
    (func $copies i32.const 0 i32.const 100 i32.const 25 memory.copy)
    (func $chooses (type $number)
        block block
            local.get 0 br_table 0 1 1
        end
        i32.const 7 return
        end
        i32.const 8 i32.const 9 i32.add)
    (func $traps unreachable)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        call $loops drop
        i32.const 3 call $recursive drop
        call $copies
        i32.const 5 i32.const 0 call_indirect (type $number) drop
        i32.const 0 call $chooses drop
        i32.const 1 call $chooses drop
        i32.const 2 i32.const 0 i32.const 0 call $log drop
        i32.const 0)
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        call $traps
        i32.const 0 i32.const 1 i32.add))"#;

#[test]
fn a_profile_counts_each_instruction_in_its_function() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(here("counted.wasm"), wat::parse_str(COUNTED).unwrap()).unwrap();
    let output = ok(&["run", &here("counted.wasm"), "--profile", &here("flame.html"), "--json"]);
    let played: Value = serde_json::from_str(&output).unwrap();
    let profile = &played["profile"];
    let functions = profile["functions"].as_array().unwrap();
    for (name, calls, instructions, with_callees) in [
        ("leaf", 11, 11 * 4, 11 * 4),
        ("loops", 1, 1 + 10 * 6 + 1, 62 + 10 * 4),
        ("recursive", 4, 3 * 7 + 4, 25),
        ("copies", 1, 1 + 4 + 25, 30),
        ("chooses", 2, (1 + 2 + 1) + (1 + 2 + 3), 10),
        ("traps", 1, 1, 1),
        ("proxy_on_request_headers", 1, 17, 17 + 102 + 25 + 30 + 4 + 10),
        ("proxy_on_response_headers", 1, 2, 3),
    ] {
        let function = functions.iter().find(|function| function["name"] == name).unwrap();
        let expected =
            json!({ "name": name, "calls": calls, "instructions": instructions, "with_callees": with_callees });
        assert_eq!(*function, expected);
    }
    let total: u64 = functions.iter().map(|function| function["instructions"].as_u64().unwrap()).sum();
    assert_eq!(profile["instructions"], total);
    assert_eq!(profile["exchanges"], json!([{ "name": "GET /", "instructions": total }]));
    let stacks = profile["stacks"].as_array().unwrap();
    let instructions = |stack: Value| stacks.iter().find(|one| one["stack"] == stack).unwrap()["instructions"].clone();
    assert_eq!(instructions(json!(["proxy_on_request_headers", "loops", "leaf"])), 40);
    assert_eq!(instructions(json!(["proxy_on_request_headers", "leaf"])), 4);
    assert_eq!(
        instructions(json!(["proxy_on_request_headers", "recursive", "recursive", "recursive", "recursive"])),
        4
    );
}

#[test]
fn a_flame_graph_is_a_page_without_network_or_stacks_for_other_tools() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let module = COUNTED.replace("$leaf", "$</script><!--");
    std::fs::write(here("counted.wasm"), wat::parse_str(module).unwrap()).unwrap();
    let text = ok(&["run", &here("counted.wasm"), "--profile", &here("flame.html")]);
    for part in
        ["191 instructions: 191 in the exchange, 0 at the start", "</script><!--", "The module has no source lines"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let html = std::fs::read_to_string(here("flame.html")).unwrap();
    assert_eq!(html.matches("</script>").count(), 1, "a name ended the script");
    assert!(html.contains("\"recursive\"") && !html.contains("https://") && !html.contains("src="));
    ok(&["run", &here("counted.wasm"), "--profile", &here("flame.folded")]);
    let folded = std::fs::read_to_string(here("flame.folded")).unwrap();
    assert!(folded.contains("proxy_on_request_headers;loops;</script><!-- 40\n"), "{folded}");
    let sum: u64 = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 191);
    let said = fails(2, &["run", &here("counted.wasm"), "--profile", &here("flame.svg")]);
    assert!(said.contains("the profile is an .html or a .folded file"), "{said}");
}

#[test]
fn a_profile_of_a_package_has_source_lines_and_inlined_functions() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("flame.html");
    let package = common::repository().join("examples/http_config");
    let configuration = r#"{"headers": [{"name": "x-a", "value": "b"}]}"#;
    let arguments = ["run", package.to_str().unwrap(), "--config", configuration, "--json", "--profile"];
    let played: Value = serde_json::from_str(&ok(&[&arguments[..], &[page.to_str().unwrap()]].concat())).unwrap();
    let profile = &played["profile"];
    let sum = |part: &str| -> u64 {
        profile[part].as_array().unwrap().iter().map(|row| row["instructions"].as_u64().unwrap()).sum()
    };
    assert_eq!(profile["instructions"], sum("stacks"));
    assert_eq!(sum("functions"), sum("stacks"));
    let lines = profile["lines"].as_array().unwrap();
    let of_filter = |line: &&Value| line["file"].as_str().unwrap().ends_with("examples/http_config/src/lib.rs");
    assert!(lines.iter().any(|line| of_filter(&line)), "{lines:#?}");
    assert_eq!(sum("lines") + profile["without_line"].as_u64().unwrap(), sum("stacks"));
    assert!(sum("lines") * 4 > sum("stacks") * 3, "{} of {} have a line", sum("lines"), sum("stacks"));
    let functions = profile["functions"].as_array().unwrap();
    assert!(functions.iter().any(|function| function["calls"].is_null()), "no function is inlined");
}

#[test]
#[ignore = "needs an Envoy: set ENVOY"]
fn exchanges_of_a_script_and_of_a_recording_are_the_same_in_envoy() {
    let envoy = std::env::var("ENVOY").expect("NOT RUN: ENVOY does not name an Envoy");
    let (directory, script) = script(SCRIPT);
    let lines = directory.path().join("requests.jsonl");
    let recorded = [
        r#"{"method": "POST", "url": "https://shop.example/a", "headers": {"x-b": "1", "x-a": "2"}, "body": "hi"}"#,
        r#"{"path": "/b", "http2": true, "response": {"status": 404, "body_base64": "AP8=", "trailers": {"x-end": "1"}}}"#,
        r#"{"path": "/c", "headers": {"connection": "Upgrade", "upgrade": "websocket"}, "response":
            {"status": 101, "headers": {"connection": "Upgrade", "upgrade": "websocket"}}}"#,
        r#"{"path": "/d", "headers": {"connection": "upgrade", "upgrade": "WebSocket"}, "status": 403}"#,
    ];
    std::fs::write(&lines, recorded.join("\n")).unwrap();
    for (module, option, file) in [("http_auth_callout", "--script", &script), ("http_headers", "--from", &lines)] {
        let arguments = ["run", &example(module), option, file.to_str().unwrap(), "--envoy"];
        let output = common::command().env("ENVOY", &envoy).args(arguments).output().unwrap();
        let text = format!("{}{}", common::stdout(&output), common::stderr(&output));
        assert!(output.status.success(), "{text}");
        assert!(text.contains("the same in Envoy"), "{text}");
    }
}
