//! The output of a failing test, and the host's output for tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::__private::module_in_envoy;
use proxy_filter_host::{Engine, FilterError, FilterErrorKind, Host, Reply, Rule, build_guest};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The variable with which the tests below fail.
const FAIL: &str = "PROXY_FILTER_FAIL";

/// Whether this process was started in order to fail.
fn is_to_fail() -> bool {
    std::env::var_os(FAIL).is_some()
}

/// Runs one of the failing tests below, and returns its output.
fn output_of(test: &str) -> String {
    output_of_as(test, "1")
}

/// Runs one of the failing tests below with this value of the variable, and returns its output.
fn output_of_as(test: &str, value: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(FAIL, value).output().unwrap();
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

/// A module that does this in `proxy_on_request_headers`. At 2048 is the text of a line about an
/// `Err`.
fn module_that(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "proxy_send_local_response"
                (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 2048) "on_request_headers of context 2 failed: no tenant; the stream continues")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.ne (local.get 1) (i32.const 3)))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body}))"#
    );
    wat::parse_str(text).unwrap()
}

const FAILS: &str = "(drop (call $log (i32.const 4) (i32.const 2048) (i32.const 71))) (i32.const 0)";
const TRAPS: &str = "unreachable";
/// Its headers are outside of the memory.
const REPLY_IS_REFUSED: &str = "(drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) \
                                (i32.const 0) (i32.const 70000) (i32.const 8) (i32.const -1))) (i32.const 0)";
const CONTINUES: &str = "(i32.const 0)";
const REPLIES_TWICE: &str =
    "(drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) \
                             (i32.const 0) (i32.const 0) (i32.const -1)))
                             (drop (call $reply (i32.const 404) (i32.const 0) (i32.const 0) (i32.const 0) \
                             (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 1)";

/// The body of a test that fails.
type Failing = fn(&mut Host);

/// Each way in which a filter fails: a negative assertion holds nevertheless, and the test fails
/// with this message. In the last one the test fails because what it expects does not happen.
const FAILURES: [(&str, &str, Failing, &str); 8] = [
    ("a trap", TRAPS, asserts_nothing_secret, "the VM trapped in proxy_on_request_headers: "),
    ("an error", FAILS, asserts_nothing_secret, "on_request_headers of context 2 failed: no tenant"),
    ("a refused reply", REPLY_IS_REFUSED, asserts_nothing_secret, "the host refused a local reply"),
    ("a second reply", REPLIES_TWICE, asserts_nothing_secret, "for a stream that has a local reply"),
    ("another error", FAILS, expects_another, "no error of the filter contains \"no user\""),
    ("a plugin that is refused", CONTINUES, ignores_the_refusal, "the host refused the plugin"),
    ("an error of many", FAILS, |host| host.expect_error("no user"), "no error of the filter contained \"no user\""),
    ("an empty text", FAILS, |host| host.expect_error(""), "names a failure by a part of its message"),
];

fn asserts_nothing_secret(host: &mut Host) {
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-internal"), None);
}

fn expects_another(host: &mut Host) {
    host.get("/").send().expect_error("no user");
}

/// The configuration has 3 bytes.
fn ignores_the_refusal(host: &mut Host) {
    let _ = host.configure("bad");
    asserts_nothing_secret(host);
}

#[test]
fn fails_without_an_expectation() {
    let Some(name) = std::env::var_os(FAIL) else { return };
    let (_, body, test, _) = FAILURES.iter().find(|(failure, ..)| name == *failure).unwrap();
    test(&mut Host::for_module(&module_that(body)));
}

#[test]
fn each_failure_of_the_filter_fails_the_test_with_its_message() {
    for (name, _, _, message) in FAILURES {
        let output = output_of_as("fails_without_an_expectation", name);
        assert!(output.contains(message), "{name}: {output}");
        let is_shown = output.contains("--- played before the test failed");
        assert!(is_shown || !["a trap", "an error", "a refused reply"].contains(&name), "{name}: {output}");
    }
}

#[test]
fn failures_that_the_test_names_do_not_fail_it() {
    for (body, kind, message) in [
        (TRAPS, FilterErrorKind::Trap, "the VM trapped"),
        (FAILS, FilterErrorKind::Error, "no tenant"),
        (REPLY_IS_REFUSED, FilterErrorKind::RefusedReply, "refused a local reply"),
    ] {
        let mut host = Host::for_module(&module_that(body));
        let exchange = host.get("/").send();
        let found: Vec<_> = exchange.errors().iter().map(FilterError::kind).collect();
        assert_eq!(found, [kind], "{exchange}");
        exchange.expect_error(message);
        let mut host = Host::for_module(&module_that(body));
        host.expect_error(message);
        let _ = (host.get("/").send(), host.get("/").send());
    }
}

#[test]
fn finish_returns_the_broken_rules_and_does_not_panic() {
    let mut host = Host::for_module(&wat::parse_str(BREAKS_A_RULE).unwrap());
    let _ = host.get("/").send();
    let violations = host.finish();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].message().contains("does not exist yet"), "{violations:?}");
    assert_eq!((violations[0].rule(), violations[0].line()), (Rule::ResumeWithoutResponse, None));
    assert_eq!(Host::without_module().finish(), []);
}

/// More loops than processors, so Envoy waits for one of them: the first failure does not count.
#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn a_failure_on_a_busy_machine_runs_the_test_again() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("moved")).unwrap();
    let (end, begin) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..3 * std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_secs(60) {
                    std::hint::spin_loop();
                }
            });
        }
        module_in_envoy(Engine::default(), &module, |mut host| {
            host.root_id("function");
            for _ in 0..20 {
                assert_eq!(host.get("/").send().status(), 200);
            }
            // The embedded host runs first, then Envoy.
            assert_ne!(RUNS.fetch_add(1, Ordering::Relaxed), 1, "the first run in Envoy");
        });
        end.store(true, Ordering::Relaxed);
    });
    assert_eq!(RUNS.load(Ordering::Relaxed), 4);
}
