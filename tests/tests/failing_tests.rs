//! The output of a failing test, and the host's output for tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Reply};
use std::process::Command;

/// The variable with which the tests below fail.
const FAIL: &str = "PROXY_FILTER_FAIL";

/// Whether this process was started in order to fail.
fn is_to_fail() -> bool {
    std::env::var_os(FAIL).is_some()
}

/// Runs one of the failing tests below, and returns its output.
fn output_of(test: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(FAIL, "1").output().unwrap();
    assert!(!output.status.success(), "{test} does not fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn fails_without_naming_the_exchange() {
    if !is_to_fail() {
        return;
    }
    let mut host = Host::without_module();
    for number in 1..=5 {
        host.upstream(move |_| Reply::new(503).header("x-number", number.to_string()));
        let path = format!("/path-{number}");
        let exchange = host.get(&path).send();
        if number == 5 {
            assert_eq!(exchange.status(), 200);
        }
    }
}

#[test]
fn a_failing_test_prints_its_last_exchanges_in_their_order() {
    let output = output_of("fails_without_naming_the_exchange");
    let places: Vec<_> = (1..=5).map(|number| output.find(&format!("/path-{number}"))).collect();
    assert_eq!((places[0], places[1]), (None, None), "{output}");
    assert!(places[2].is_some() && places[2] < places[3] && places[3] < places[4], "{output}");
    assert!(output.contains("x-number: 5"), "{output}");
}

#[test]
fn fails_after_a_connection() {
    if !is_to_fail() {
        return;
    }
    let mut host = Host::without_module();
    let connection = host.connect().send("hello from the client").play();
    assert_eq!(connection.client().text(), "nothing");
}

#[test]
fn a_failing_test_prints_its_last_connection() {
    let output = output_of("fails_after_a_connection");
    assert!(output.contains("hello from the client"), "{output}");
}

/// A module that breaks a rule: it continues a response that does not exist.
const BREAKS_A_RULE: &str = r#"(module
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $continue (i32.const 1))) (i32.const 0)))"#;

#[test]
fn finish_returns_the_broken_rules_and_does_not_panic() {
    let mut host = Host::for_module(&wat::parse_str(BREAKS_A_RULE).unwrap());
    let _ = host.get("/").send();
    let violations = host.finish();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("does not exist yet"), "{violations:?}");
    assert_eq!(Host::without_module().finish(), [""; 0]);
}
