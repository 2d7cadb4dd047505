//! Decisions, remembered and shared.

use super::LONGEST;
use super::decisions::{CAPACITY, Decisions};
use proxy_filter::{Error, Result};
use proxy_filter_host::{Host, Received, Reply};
use serde_json::{Value, json};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// An agent whose policy permits alice to read, and has no rule for `/undefined`.
fn policy(call: &Received) -> Reply {
    let query: Value = serde_json::from_slice(&call.body).unwrap();
    let input = &query["input"];
    match input["path"].as_str() {
        Some("/undefined") => Reply::new(200).body("{}"),
        Some("/broken") => Reply::new(500),
        Some("/garbage") => Reply::new(200).body("<html>"),
        Some("/reset") => Reply::reset(),
        _ => {
            let allow = input["method"] == "GET" && input["authorization"] == "Bearer alice";
            Reply::new(200).body(json!({ "result": allow, "decision_id": "1" }).to_string())
        }
    }
}

fn configure(host: &mut Host) {
    host.cluster("opa", policy);
    host.configure(json!({ "cluster": "opa", "path": "/v1/data/http/allow", "ttl_s": 2 })).unwrap();
}

#[proxy_filter_host::test]
fn the_policy_decides(mut host: Host) {
    configure(&mut host);
    let exchange = host.get("/a").header("authorization", "Bearer alice").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let calls = exchange.calls("opa");
    assert_eq!(calls[0].header(":path"), Some("/v1/data/http/allow".into()));
    let query: Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(query["input"], json!({ "method": "GET", "path": "/a", "authorization": "Bearer alice" }));
    let exchange = host.post("/a").header("authorization", "Bearer alice").body("b").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    assert!(exchange.upstream().is_none());
    assert_eq!(host.get("/a").send().status(), 403);
}

#[proxy_filter_host::test]
fn a_policy_that_is_not_defined_denies(mut host: Host) {
    configure(&mut host);
    assert_eq!(host.get("/undefined").send().status(), 403);
}

#[proxy_filter_host::test]
fn an_outage_refuses_requests_and_is_not_a_decision(mut host: Host) {
    configure(&mut host);
    for path in ["/broken", "/garbage", "/reset"] {
        for _ in 0..2 {
            let exchange = host.get(path).send();
            assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
            assert_eq!(exchange.calls("opa").len(), 1, "{exchange}");
        }
    }
}

#[proxy_filter_host::test(embedded)]
fn log_lines_about_outages_are_rate_limited(mut host: Host) {
    configure(&mut host);
    let lines: usize = (0..100).map(|_| host.get("/broken").send().messages().len()).sum();
    assert!((1..=20).contains(&lines), "{lines}");
}

#[proxy_filter_host::test]
fn a_decision_is_cached(mut host: Host) {
    configure(&mut host);
    let mut calls = Vec::new();
    for wait in [0, 0, 2500, 0] {
        host.advance(Duration::from_millis(wait));
        let exchange = host.get("/a").header("authorization", "Bearer alice").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        calls.push(exchange.calls("opa").len());
    }
    assert_eq!(calls, [1, 0, 1, 0]);
    let exchange = host.get("/b").header("authorization", "Bearer alice").send();
    assert_eq!(exchange.calls("opa").len(), 1, "another question: {exchange}");
}

#[proxy_filter_host::test]
fn bytes_that_are_not_text_are_refused_without_a_log_line(mut host: Host) {
    configure(&mut host);
    for bytes in [&b"Bearer \xff"[..], b"\xff\xfe", b"Bearer \xc3", b"Bearer alice\xed\xa0\x80"] {
        let exchange = host.get("/").header("authorization", bytes).send();
        assert_eq!((exchange.status(), exchange.calls("opa").len()), (400, 0), "{exchange}");
        assert!(exchange.messages().is_empty() && exchange.upstream().is_none(), "{exchange}");
    }
}

/// The upstream gets all of them, and might believe another one than the policy.
#[proxy_filter_host::test]
fn several_authorizations_are_refused(mut host: Host) {
    configure(&mut host);
    for values in [["Bearer alice", "Bearer bob"], ["Bearer bob", "Bearer alice"], ["Bearer alice", "Bearer alice"]] {
        let exchange = host.get("/").header("authorization", values[0]).header("authorization", values[1]).send();
        // 403 in a host that joins them.
        assert!([400, 403].contains(&exchange.status()), "{exchange}");
        assert!(exchange.upstream().is_none(), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_query_that_is_too_long_makes_no_call(mut host: Host) {
    configure(&mut host);
    let long = "a".repeat(LONGEST);
    let token = host.get("/a").header("authorization", &long).send();
    let path = host.get(&format!("/{long}")).header("authorization", "Bearer alice").send();
    for exchange in [token, path] {
        assert_eq!((exchange.status(), exchange.calls("opa").len()), (431, 0), "{exchange}");
        assert!(exchange.messages().is_empty() && exchange.upstream().is_none(), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_query_that_the_agent_rejects_is_a_refusal(mut host: Host) {
    host.cluster("opa", |call: &Received| {
        let query: Value = serde_json::from_slice(&call.body).unwrap();
        Reply::new(query["input"]["path"].as_str().unwrap()[1..].parse().unwrap())
    });
    host.configure(json!({ "cluster": "opa", "path": "/v1/data/http/allow" })).unwrap();
    for status in [400, 401, 404, 413, 414, 429, 431, 499, 302, 500, 503] {
        let exchange = host.get(&format!("/{status}")).send();
        let expected = if (400..500).contains(&status) { 403 } else { 503 };
        assert_eq!((exchange.status(), exchange.upstream()), (expected, None), "{status}: {exchange}");
    }
}

/// A cache whose clock and agent the test controls.
#[derive(Default)]
struct World {
    decisions: Decisions<u32, u32>,
    seconds: Cell<u64>,
    asked: Cell<u32>,
    answer: Cell<Option<Result<u32>>>,
}

impl World {
    async fn get(&self, key: u32) -> Result<u32> {
        let now = || Ok(Duration::from_secs(self.seconds.get()));
        let fetch = async || {
            self.asked.set(self.asked.get() + 1);
            poll_fn(|_| self.answer.take().map_or(Poll::Pending, Poll::Ready)).await
        };
        self.decisions.get(key, Duration::from_secs(10), now, fetch).await
    }

    fn get_at_once(&self, key: u32) -> Result<u32> {
        self.answer.set(Some(Ok(key)));
        match poll(pin!(self.get(key))) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("it waits"),
        }
    }
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn concurrent_equal_queries_share_one_call() {
    let world = World::default();
    let (mut first, mut second, mut other) = (pin!(world.get(1)), pin!(world.get(1)), pin!(world.get(2)));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    assert_eq!(world.asked.get(), 1);
    assert!(poll(other.as_mut()).is_pending());
    assert_eq!(world.asked.get(), 2, "another question does not wait");
    world.answer.set(Some(Ok(7)));
    assert!(matches!(poll(first), Poll::Ready(Ok(7))));
    assert!(matches!(poll(second), Poll::Ready(Ok(7))));
    assert_eq!(world.asked.get(), 2);
}

#[test]
fn a_failure_is_shared_by_pending_streams_and_not_cached() {
    let world = World::default();
    let (mut first, mut second) = (pin!(world.get(1)), pin!(world.get(1)));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    world.seconds.set(1);
    world.answer.set(Some(Err(Error::other("down"))));
    assert!(matches!(poll(first), Poll::Ready(Err(_))));
    assert!(matches!(poll(second), Poll::Ready(Err(_))));
    assert_eq!(world.asked.get(), 1);
    world.seconds.set(2);
    assert_eq!(world.get_at_once(1).unwrap(), 1);
}

#[test]
fn another_pending_stream_repeats_a_call_that_was_cancelled() {
    let world = Rc::new(World::default());
    let mut second = pin!(world.get(1));
    {
        let mut first = Box::pin(world.get(1));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    }
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(world.asked.get(), 2);
    world.answer.set(Some(Ok(8)));
    assert!(matches!(poll(second), Poll::Ready(Ok(8))));
}

#[test]
fn the_cache_has_a_limit_and_evicts_the_decisions_that_were_used_least_recently() {
    let world = World::default();
    let limit = u32::try_from(CAPACITY).unwrap();
    for key in 0..limit {
        world.get_at_once(key).unwrap();
    }
    let asked = world.asked.get();
    world.get_at_once(0).unwrap();
    for key in limit..limit + 10 {
        world.get_at_once(key).unwrap();
        assert_eq!(world.decisions.len(), CAPACITY);
    }
    for key in (11..limit + 10).chain([0]) {
        world.get_at_once(key).unwrap();
    }
    assert_eq!(world.asked.get(), asked + 10, "only the ten least recently used are gone");
    world.get_at_once(1).unwrap();
    assert_eq!(world.asked.get(), asked + 11);
}

#[test]
fn a_decision_is_stale_after_its_time_or_if_the_clock_was_set_back() {
    let world = World::default();
    for (seconds, asked) in [(100, 1), (109, 1), (110, 2), (105, 3), (114, 3)] {
        world.seconds.set(seconds);
        world.get_at_once(1).unwrap();
        assert_eq!(world.asked.get(), asked, "{seconds}");
    }
}
