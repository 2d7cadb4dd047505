//! Violations that the embedded host reports for hand-written modules that no SDK would generate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Rule};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns a module with these callbacks, in the text format.
fn module(imports: &str, callbacks: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
            {callbacks})"#
    );
    wat::parse_str(text).unwrap()
}

const SEND: &str =
    r#"(import "env" "proxy_send_local_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
const CONTINUE: &str = r#"(import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))"#;
const CLOSE: &str = r#"(import "env" "proxy_close_stream" (func $close (param i32) (result i32)))"#;
const SET_BUFFER: &str =
    r#"(import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
const TICK: &str = r#"(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#;

fn refusal(module: &[u8]) -> String {
    Host::for_module(module).configure("").unwrap_err().to_string()
}

fn violation(module: &[u8]) -> String {
    let mut host = Host::for_module(module);
    host.configure("").unwrap();
    let _ = host.post("/").body("body").send();
    let violations = host.violations().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // Dropping the host fails a test whose filter broke a rule.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(host)));
    assert_eq!(dropped.is_err(), !violations.is_empty());
    violations
}

#[test]
fn a_module_without_the_abi_version_is_refused() {
    let bytes = wat::parse_str(r#"(module (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#).unwrap();
    assert!(refusal(&bytes).contains("Missing or unknown Proxy-Wasm ABI version"));
    let bytes = wat::parse_str(r#"(module (func (export "proxy_abi_version_0_3_0")))"#).unwrap();
    assert!(refusal(&bytes).contains("Missing or unknown Proxy-Wasm ABI version"));
}

#[test]
fn a_module_without_an_allocator_is_refused() {
    let bytes = wat::parse_str(r#"(module (func (export "proxy_abi_version_0_2_1")))"#).unwrap();
    assert!(refusal(&bytes).contains("missing malloc function"));
}

#[test]
fn an_unknown_import_is_refused_by_name() {
    let bytes = module(r#"(import "env" "clock_of_mine" (func))"#, "");
    assert!(refusal(&bytes).contains("missing import: env.clock_of_mine"));
}

#[test]
fn a_callback_of_the_wrong_type_is_refused_by_name() {
    let bytes = module("", r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 0))"#);
    assert!(refusal(&bytes).contains("Bad function signature for: proxy_on_request_headers"));
}

#[test]
fn bytes_that_are_not_a_module_are_refused() {
    assert!(refusal(b"not wasm").contains("Failed to load Wasm bytecode"));
}

#[test]
fn a_host_call_in_initialize_fails_the_vm() {
    let bytes = module(TICK, r#"(func (export "_initialize") (drop (call $tick (i32.const 1))))"#);
    assert!(refusal(&bytes).contains("restricted_callback"), "{}", refusal(&bytes));
}

#[test]
fn a_host_call_in_the_start_section_is_a_violation() {
    let bytes = module(TICK, "(func $start (drop (call $tick (i32.const 1)))) (start $start)");
    let mut host = Host::for_module(&bytes);
    assert!(host.configure("").unwrap_err().to_string().contains("called from the start section"));
    assert_eq!(host.violations()[0].rule(), Rule::StartSection);
    assert!(host.violations()[0].message().contains("from the module's start section"));
    catch_unwind(AssertUnwindSafe(|| drop(host))).unwrap_err();
}

#[test]
fn a_grpc_service_that_names_nothing_is_a_violation() {
    // The second is the name of a cluster, and also a valid encoded message.
    for (name, size) in [("", 0), ("authz_svc", 9)] {
        for (function, zeros, parameters) in [("proxy_grpc_call", 10, 12), ("proxy_grpc_stream", 7, 9)] {
            let imports = format!(
                r#"(import "env" "{function}" (func $call (param {}) (result i32))) (data (i32.const 16) "{name}")"#,
                "i32 ".repeat(parameters)
            );
            let zeros = "(i32.const 0)".repeat(zeros);
            let callback = format!(
                r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                    (drop (call $call (i32.const 16) (i32.const {size}) {zeros})) (i32.const 0))"#
            );
            assert!(violation(&module(&imports, &callback)).contains("names nothing: Envoy 1.40 aborts"));
        }
    }
}

/// The Envoy process crashes in each of these cases: it calls `on_log` repeatedly without end, or
/// uses a stream that no longer exists.
#[test]
fn a_reply_or_a_reset_at_the_end_of_a_stream_is_a_violation() {
    let zeros = "(i32.const 0)".repeat(6);
    let reply = format!("(drop (call $send (i32.const 200) {zeros} (i32.const -1)))");
    let close = |stream: u32| format!("(drop (call $close (i32.const {stream})))");
    for (import, call, name) in [
        (SEND, reply, "proxy_send_local_response"),
        (CLOSE, close(0), "proxy_close_stream"),
        (CLOSE, close(1), "proxy_close_stream"),
    ] {
        for (callback, result, rest) in
            [("proxy_on_log", "", ""), ("proxy_on_done", "(result i32)", "(i32.const 1)"), ("proxy_on_delete", "", "")]
        {
            let export = format!(r#"(func (export "{callback}") (param i32) {result} {call} {rest})"#);
            let violation = violation(&module(import, &export));
            let expected = format!("{name} in on_log, on_done or on_delete: Envoy 1.40 crashes");
            assert!(violation.contains(&expected), "{callback}, {name}: {violation}");
        }
    }
}

#[test]
fn continuing_a_response_that_does_not_exist_is_a_violation() {
    let bytes = module(
        CONTINUE,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (drop (call $continue (i32.const 1))) (i32.const 0))"#,
    );
    assert!(violation(&bytes).contains("segmentation fault"));
}

#[test]
fn a_body_edit_with_a_wrong_content_length_is_a_violation() {
    let bytes = module(
        SET_BUFFER,
        r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
            (drop (call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3))) (i32.const 0))"#,
    );
    assert!(violation(&bytes).contains("content-length is 4, but its body has"));
}

#[test]
fn a_pointer_outside_of_memory_is_a_status() {
    let bytes = module(
        r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (i32.ne (call $log (i32.const 2) (i32.const -1) (i32.const 10)) (i32.const 6)) (then unreachable)) (i32.const 0))"#,
    );
    assert_eq!(violation(&bytes), "");
    let mut host = Host::for_module(&bytes);
    assert_eq!(host.get("/").send().status(), 200);
}

#[test]
fn an_allocator_that_has_nothing_is_a_status() {
    let text = r#"(module
        (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (i32.ne (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)) (i32.const 6)) (then unreachable)) (i32.const 0)))"#;
    let mut host = Host::for_module(&wat::parse_str(text).unwrap());
    assert_eq!(host.get("/").send().status(), 200);
}

#[test]
fn a_failed_host_call_does_not_write_its_outputs() {
    let bytes = module(
        r#"(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
           (data (i32.const 16) "x-missing")"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.store (i32.const 64) (i32.const 1234)) (i32.store (i32.const 68) (i32.const 5678))
            (if (i32.ne (call $get (i32.const 0) (i32.const 16) (i32.const 9) (i32.const 64) (i32.const 68)) (i32.const 1)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 64)) (i32.const 1234)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 68)) (i32.const 5678)) (then unreachable))
            (i32.const 0))"#,
    );
    assert_eq!(violation(&bytes), "");
    assert_eq!(Host::for_module(&bytes).get("/").send().status(), 200, "the module did not trap");
}

#[test]
fn an_empty_value_is_null_and_allocates_nothing() {
    let text = r#"(module
        (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "x-empty")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (unreachable))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.store (i32.const 64) (i32.const 1234)) (i32.store (i32.const 68) (i32.const 5678))
            (if (call $get (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 64) (i32.const 68)) (then unreachable))
            (if (i32.load (i32.const 64)) (then unreachable))
            (if (i32.load (i32.const 68)) (then unreachable))
            (i32.const 0)))"#;
    let mut host = Host::for_module(&wat::parse_str(text).unwrap());
    assert_eq!(host.get("/").header("x-empty", "").send().status(), 200, "the module did not trap");
}

#[path = "../guests/examples/leaks.rs"]
mod leaks;

/// What the guest does: its second reply is in this line.
const GUEST: &str = include_str!("../guests/examples/leaks.rs");

#[proxy_filter_host::test(guest = "leaks", module = leaks)]
fn a_violation_names_the_line_of_a_filter_that_runs_natively(mut host: Host) {
    host.expect_violation("for a stream that has a local reply");
    let exchange = host.get("/replies-twice").send();
    assert_eq!((exchange.status(), exchange.messages()), (403, vec!["Ok(()) Ok(())"]), "{exchange}");
    // A real Envoy reports no violations, and a module has no lines.
    if let [violation] = host.violations().as_slice() {
        let line = 1 + GUEST.lines().position(|line| line.contains("let second = ")).unwrap();
        let is_native = exchange.spent().pages == 0;
        let named = violation.line().is_some_and(|place| place.contains(&format!("leaks.rs:{line}:")));
        assert_eq!((violation.rule(), named), (Rule::IgnoredReply, is_native), "{violation}: {}", violation.source());
    }
}
