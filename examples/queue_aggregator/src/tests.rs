//! What the collector knows of the requests of all workers.

use proxy_filter_host::{Host, Reply, VmRole};
use serde_json::json;
use std::time::Duration;

/// Both plugins, as in envoy.yaml.
fn start(host: &mut Host) {
    host.root_id("reporter");
    host.singleton_service("collector", json!({ "every_seconds": 1 }));
    host.configure("").unwrap();
    host.upstream(|request| Reply::new(if request.header("x-fail").is_some() { 503 } else { 200 }));
}

#[proxy_filter_host::test]
fn requests_are_summed_up_by_host(mut host: Host) {
    start(&mut host);
    let _ = host.get("/").authority("a.example").send();
    let _ = host.get("/").authority("a.example").header("x-fail", "1").send();
    let _ = host.get("/").authority("b.example").send();
    assert_eq!(host.metric("queue_aggregator_collected"), Some(3));
}

#[proxy_filter_host::test]
fn a_summary_is_logged_periodically(mut host: Host) {
    host.root_id("reporter");
    host.singleton_service("collector", json!({ "every_seconds": 2 }));
    host.configure("").unwrap();
    let mut lines = Vec::new();
    for _ in 0..2 {
        let exchange = host.get("/").send();
        lines.extend(exchange.messages_of(VmRole::Main).into_iter().map(str::to_owned));
    }
    let meanwhile = host.advance(Duration::from_millis(2500));
    lines.extend(meanwhile.messages_of(VmRole::Main).into_iter().map(str::to_owned));
    assert_eq!(lines, ["example.com: 2 requests, 0 failed"], "{meanwhile}");
    assert_eq!(host.metric("queue_aggregator_hosts"), Some(0));
}

#[proxy_filter_host::test]
fn a_host_has_a_longest_name_and_no_case(mut host: Host) {
    host.root_id("reporter");
    host.singleton_service("collector", json!({ "every_seconds": 2 }));
    host.configure("").unwrap();
    let long = "a".repeat(260);
    let mut lines = Vec::new();
    for authority in [format!("{long}b"), format!("{long}c.example"), long.to_uppercase(), "x".repeat(20_000)] {
        let exchange = host.get("/").authority(&authority).send();
        lines.extend(exchange.messages_of(VmRole::Main).into_iter().map(str::to_owned));
    }
    let meanwhile = host.advance(Duration::from_millis(2500));
    lines.extend(meanwhile.messages_of(VmRole::Main).into_iter().map(str::to_owned));
    let expected = [format!("{long}: 3 requests, 0 failed"), format!("{}: 1 requests, 0 failed", "x".repeat(260))];
    assert_eq!(lines, expected, "{meanwhile}");
}

#[proxy_filter_host::test]
fn every_worker_reports_to_the_one_collector(mut host: Host) {
    host.workers(3);
    start(&mut host);
    for number in 0..9 {
        let exchange = host.get("/").on_worker(number % 3).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
    }
    assert_eq!(host.metric("queue_aggregator_collected"), Some(9));
}

#[proxy_filter_host::test]
fn a_filter_without_a_collector_forwards_requests(mut host: Host) {
    host.root_id("reporter");
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.messages(), ["no collector has registered the queue"]);
}

#[proxy_filter_host::test]
fn a_collector_without_a_period_is_refused(mut host: Host) {
    host.root_id("collector");
    let refused = host.configure("{}").unwrap_err();
    assert!(refused.to_string().contains("missing field `every_seconds`"), "{refused}");
}
