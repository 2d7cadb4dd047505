//! Whatever an example keeps for clients is bounded in bytes, in its VM and in the host: clients
//! choose thousands of different tokens, keys, cookies, paths, hosts and methods, short and long.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "support/example.rs"]
mod example;

use example::{configure, for_each_example, root, services};
use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Reply, Usage, build_guest};
use serde_json::json;
use std::fs;

/// How much the memory of an example's VMs may grow.
const MOST_MEMORY: usize = 512 * 1024;
/// How many bytes the host may keep in shared data, in queues, and in names of metrics.
const MOST_IN_HOST: usize = 192 * 1024;

/// Clients with short values, and how many bytes each has.
const SHORT: (usize, usize) = (1_200, 24);
/// Clients with long values.
const LONG: (usize, usize) = (80, 5_000);
/// Clients arrive in rounds until the memory of an example does not grow in a round. After so many
/// rounds, storing a hash for each client would exceed the limits.
const ROUNDS: usize = 6;

/// The response of every service: an active token, a permission, keys, with a long name for the
/// client.
fn answer() -> Reply {
    let generator = json!({
        "kty": "EC", "crv": "P-256", "kid": "known",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
    });
    let body = json!({ "active": true, "sub": "s".repeat(256), "result": true, "keys": [generator] });
    Reply::new(200).header("x-user", "u".repeat(256)).body(body.to_string())
}

/// The configuration of an example's first plugin, where the one in its bootstrap uses nothing that
/// clients choose.
fn configuration(example: &str, written: String) -> String {
    match example {
        "rate_limit" => json!({ "limit": 5, "window_seconds": 10, "by": "x-api-key" }).to_string(),
        _ => written,
    }
}

/// An example as its bootstrap has it.
fn start(example: &str) -> (Host, String) {
    let module = fs::read(build_guest(&root(), example, None).unwrap()).unwrap();
    let mut host = Host::for_module(&module);
    host.log_level(LogLevel::Critical);
    for (cluster, is_grpc) in services(example) {
        if is_grpc {
            host.grpc_cluster(&cluster, |_| Reply::grpc(b""));
        } else {
            host.cluster(&cluster, |_| answer());
        }
    }
    let kind = configure(&mut host, example, |written| configuration(example, written));
    (host, kind)
}

/// A request whose every field is its own, with tokens of so many bytes.
fn request(host: &mut Host, number: usize, length: usize) -> Outcome {
    let own = format!("{number:06}{}", "k".repeat(length - 6));
    let method = if number.is_multiple_of(4) { format!("M{number}") } else { "GET".to_owned() };
    let path = format!("/{number:06}{}?q={number}", "p".repeat(length / 4));
    let request = host.request(&method, &path).authority(&format!("{number}.example"));
    // Its first part is that of a JWT, with a `kid` of its own.
    let token = match number % 2 {
        0 => format!("Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6Im{}ifQ.e30.{own}", &own[..4]),
        _ => format!("Bearer {own}"),
    };
    // Over HTTP/1, Envoy refuses methods that it does not know.
    let request = if number.is_multiple_of(4) { request.http2() } else { request };
    let request = request.header("authorization", token).header("x-api-key", &own).header("cookie", own.repeat(3));
    request.header("x-forwarded-for", &own[..6]).header("user-agent", &own).header(format!("x-{number}"), &own).send()
}

fn flood(host: &mut Host, is_tcp: bool, (clients, length): (usize, usize), from: usize) {
    for number in from..from + clients {
        if is_tcp {
            let _played = host.connect().send(format!("P{number:06}{}", "k".repeat(length))).play();
            continue;
        }
        let outcome = request(host, number, length);
        let failed = matches!(outcome.status(), 0 | 500..) && outcome.to_string().contains("the VM failed");
        assert!(!failed, "client {number}: {outcome}");
    }
}

/// The additional memory and items since an earlier time.
fn growth(before: Usage, after: Usage) -> (usize, usize) {
    let in_host = after.shared_data + after.queues + after.metrics;
    (after.memory - before.memory, in_host - before.shared_data - before.queues - before.metrics)
}

fn check(example: &str) {
    let (mut host, kind) = start(example);
    let is_tcp = kind == "envoy.filters.network.wasm";
    // What there is once, for the first client.
    flood(&mut host, is_tcp, (1, LONG.1), 0);
    let first = host.usage().unwrap();
    for round in 0..ROUNDS {
        let before = host.usage().unwrap();
        let start = 1 + round * (SHORT.0 + LONG.0);
        flood(&mut host, is_tcp, SHORT, start);
        flood(&mut host, is_tcp, LONG, start + SHORT.0);
        let after = host.usage().unwrap();
        let (memory, in_host) = growth(first, after);
        assert!(memory <= MOST_MEMORY, "{example}: its memory grew by {memory} bytes");
        assert!(in_host <= MOST_IN_HOST, "{example}: the host keeps {in_host} bytes for it");
        if after == before {
            break;
        }
    }
}

#[test]
fn the_memory_of_an_example_for_its_clients_is_bounded() {
    for_each_example(|example| {
        check(example);
        Vec::new()
    });
}

/// The test above can fail: a module that keeps what its clients send grows.
#[test]
fn a_module_that_stores_more_than_its_limit_is_detected() {
    let module = build_guest(&root().join("tests"), "proxy-filter-guests", Some("exhaustion")).unwrap();
    let mut host = Host::for_module(&fs::read(module).unwrap());
    host.configure("{}").unwrap();
    let before = host.usage().unwrap();
    assert_eq!(host.get("/allocate/200000").send().status(), 200);
    assert!(growth(before, host.usage().unwrap()).0 <= MOST_MEMORY);
    assert_eq!(host.get("/allocate/1000000").send().status(), 200);
    assert!(growth(before, host.usage().unwrap()).0 > MOST_MEMORY);
}
