//! `proxy-filter run`: exchanges from flags and from scripts.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use common::{example, fails, ok};
use serde_json::Value;
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
}

#[test]
fn violations_of_host_rules_are_reported_without_a_panic() {
    let (_directory, path) = script("exchanges: [{ request: { headers: { x-y: z } } }]");
    let text = ok(&["run", &example("http_headers"), "--script", path.to_str().unwrap()]);
    assert!(!text.contains("panicked"), "{text}");
}
