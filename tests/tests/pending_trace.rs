//! The trace names the pending callouts of a stream that has not ended, for filters with callbacks
//! and for async functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{GrpcStreamReply, Host, Outcome, Received, Reply, build_guest};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn host(guest: &str) -> Host {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    Host::for_module(&std::fs::read(build_guest(directory, "proxy-filter-guests", Some(guest)).unwrap()).unwrap())
}

/// Returns the trace's line about the only stream that had not ended.
fn waits(exchange: &Outcome) -> Vec<String> {
    let [waits] = exchange.record().waiting.as_slice() else { panic!("one stream: {exchange}") };
    for line in waits.lines() {
        assert!(exchange.to_string().contains(line), "{line}: {exchange}");
    }
    waits.lines().map(str::to_owned).collect()
}

#[test]
fn the_trace_names_the_call_and_the_timer_that_a_function_awaits() {
    let mut host = host("exchanges");
    host.cluster("service", |_: &Received| Reply::new(200).after(ms(300)));
    host.configure("{}").unwrap();
    let exchange = host.get("/wait").disconnect_after(ms(60)).send();
    assert_eq!(
        waits(&exchange),
        [
            "stream 2 has not ended",
            "  its request is paused since proxy_on_request_headers of context 2, 60 ms ago",
            "  HTTP call 4 to `service`, GET /never, made 60 ms ago, timeout 400 ms: due in 240 ms",
            "  the tick of root context 1, every 60000 ms: due in 59940 ms",
        ]
    );
}

#[test]
fn the_trace_names_the_callback_that_paused_a_request() {
    let mut host = host("pending_timers");
    host.configure("").unwrap();
    let exchange = host.get("/").disconnect_after(ms(500)).send();
    assert_eq!(
        waits(&exchange),
        [
            "stream 2 has not ended",
            "  its request is paused since proxy_on_request_headers of context 2, 500 ms ago",
            "  the tick of root context 1, every 3600000 ms: due in 3599500 ms",
        ]
    );
}

#[test]
fn the_trace_names_the_grpc_callouts_that_a_function_awaits() {
    let mut host = host("grpc_exchange");
    host.grpc_cluster("service", |_: &Received| Reply::grpc(b"").after(ms(800)));
    host.grpc_stream_cluster("talk", |_: &[u8]| GrpcStreamReply::default());
    host.configure("").unwrap();
    let exchange = host.get("/dropped").disconnect_after(ms(100)).send();
    assert_eq!(
        waits(&exchange),
        [
            "stream 2 has not ended",
            "  its request is paused since proxy_on_request_headers of context 2, 100 ms ago",
            "  gRPC stream 6 to `talk`, /pkg.Service/Talk, made 100 ms ago, no timeout: nothing is due",
        ]
    );
    let exchange = host.get("/A").disconnect_after(ms(100)).send();
    let lines = waits(&exchange);
    assert!(
        lines[2].starts_with("  gRPC call 5 to `service`, /pkg.Service/A, made 100 ms ago, timeout "),
        "{exchange}"
    );
    assert!(lines[2].ends_with(": due in 700 ms"), "{exchange}");
}

#[test]
fn the_trace_names_the_callback_that_paused_a_response() {
    let mut host = host("exchanges");
    host.cluster("service", |_: &Received| Reply::new(200).after(ms(350)));
    host.configure("{}").unwrap();
    let exchange = host.get("/response").disconnect_after(ms(100)).send();
    assert_eq!(
        waits(&exchange)[1..],
        [
            "  its response is paused since proxy_on_response_headers of context 2, 100 ms ago",
            "  HTTP call 4 to `service`, GET /response, made 100 ms ago, timeout 400 ms: due in 250 ms",
        ]
    );
}

#[test]
fn the_trace_names_a_body_that_is_buffered_and_incomplete() {
    let mut host = host("exchanges");
    host.cluster("service", |_: &Received| Reply::new(200).after(ms(350)));
    host.configure("{}").unwrap();
    let exchange = host.post("/body").chunks(["half", "of it"]).disconnect_after(ms(100)).send();
    assert_eq!(
        waits(&exchange)[1..],
        [
            "  its request is paused since proxy_on_request_body of context 2, 200 ms ago",
            "  HTTP call 4 to `service`, POST /body, made 100 ms ago, timeout 5000 ms: due in 250 ms",
        ],
        "{exchange}"
    );
}

#[test]
fn the_trace_names_an_upstream_without_a_response() {
    let mut host = host("exchanges");
    host.configure("{}").unwrap();
    host.upstream(|_| Reply::new(200).after(ms(700)));
    let exchange = host.get("/").disconnect_after(ms(100)).send();
    assert_eq!(waits(&exchange)[1..], ["  the filter pauses nothing: the upstream has not responded"]);
}

#[test]
fn the_trace_names_a_stream_that_nothing_can_wake() {
    let module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1)))"#,
    );
    let mut host = Host::for_module(&module.unwrap());
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 0);
    assert_eq!(
        waits(&exchange),
        [
            "stream 2 has not ended",
            "  its request is paused since proxy_on_request_headers of context 2, 5000 ms ago",
            "  nothing is pending that could resume it",
        ]
    );
}

#[test]
fn open_streams_are_listed_beside_others() {
    let mut host = host("exchanges");
    host.configure("{}").unwrap();
    let outer = host.get("/outer").before_response(|host| {
        assert_eq!(
            host.waiting(),
            ["stream 2 has not ended\n  the filter pauses nothing: the upstream has not responded"]
        );
        let inner = host.get("/inner").send();
        assert_eq!(inner.status(), 200, "{inner}");
        assert_eq!(waits(&inner)[0], "stream 2 has not ended");
    });
    let exchange = outer.send();
    assert!(exchange.record().waiting.is_empty(), "all have ended: {exchange}");
    assert!(host.waiting().is_empty());
}

/// Makes this process fail.
const FAIL: &str = "WAITING_TEST_SHALL_FAIL";

/// A failing test drops the host while a stream is active. The host then prints the pending
/// callouts to standard error.
#[test]
fn a_failing_test_names_the_streams_that_have_not_ended() {
    let mut host = host("exchanges");
    if std::env::var_os(FAIL).is_some() {
        let _ = host.get("/").before_response(|_| panic!("as asked")).send();
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    let itself = itself.args(["--exact", "a_failing_test_names_the_streams_that_have_not_ended", "--nocapture"]);
    let failed = itself.env(FAIL, "1").output().unwrap();
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(
        said.contains("stream 2 has not ended\n  the filter pauses nothing: the upstream has not responded\n"),
        "{said}"
    );
}

#[test]
fn a_stream_that_has_ended_has_no_pending_callouts() {
    let mut host = host("exchanges");
    host.cluster("service", |_: &Received| Reply::new(200));
    host.configure("{}").unwrap();
    for path in ["/auth", "/sleep", "/chunks"] {
        let exchange = host.post(path).chunks(["a", "b"]).send();
        assert!(exchange.record().waiting.is_empty(), "{exchange}");
    }
}
