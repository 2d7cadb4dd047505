//! Concurrent futures, and futures that outlive the stream that spawned them.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Received, Reply};
use std::time::Duration;

#[path = "../guests/examples/futures.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn start(host: &mut Host) {
    host.cluster("service", |call: &Received| {
        let path = call.header(":path").unwrap_or_default().to_string();
        // In another order than they are joined in, with clear delays in a real host.
        let delay = match path.as_str() {
            "/slow" => 2000,
            "/a" => 300,
            "/b" => 150,
            _ => 20,
        };
        Reply::new(200).body(path).after(ms(delay))
    });
    host.cluster("audit", |_: &Received| Reply::new(201).after(ms(200)));
}

fn answer(outcome: &Outcome) -> Option<String> {
    outcome.upstream()?.header("x-answer").map(|value| value.to_string())
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn joined_calls_are_in_flight_at_once_and_return_in_order(mut host: Host) {
    start(&mut host);
    for (path, expected, calls) in [("/join", "/a/b", 2), ("/join_all", "/a/b/c", 3)] {
        let outcome = host.get(path).send();
        assert_eq!((outcome.status(), answer(&outcome).as_deref()), (200, Some(expected)), "{outcome}");
        assert_eq!(outcome.calls("service").len(), calls, "{outcome}");
    }
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn the_loser_of_a_select_is_cancelled(mut host: Host) {
    start(&mut host);
    let outcome = host.get("/select").send();
    assert_eq!((outcome.status(), answer(&outcome).as_deref()), (200, Some("timer")), "{outcome}");
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn parts_of_an_exchange_are_joined_with_timers(mut host: Host) {
    start(&mut host);
    let outcome = host.get("/join/parts").send();
    assert_eq!(outcome.status(), 200, "{outcome}");
    assert_eq!(outcome.response().header("x-answer"), Some("both".into()), "{outcome}");
}

/// Returns the log lines during and after a request, without the contexts.
fn messages(outcome: &Outcome) -> Vec<String> {
    outcome.messages().into_iter().map(str::to_owned).collect()
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn a_spawned_call_completes_after_its_stream_has_ended(mut host: Host) {
    start(&mut host);
    for path in ["/a", "/nested", "/b"] {
        let outcome = host.get(path).send();
        assert_eq!(outcome.status(), 200, "{outcome}");
        assert!(!messages(&outcome).iter().any(|line| line.starts_with("audited")), "not delayed: {outcome}");
        let after = host.advance(ms(500));
        assert_eq!(messages(&after), [&format!("audited {path} with 201"), "dropped: the audit"], "{after}");
    }
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn a_spawned_call_outlives_a_denial_and_a_disconnect(mut host: Host) {
    start(&mut host);
    let outcome = host.get("/deny").send();
    assert_eq!(outcome.status(), 403, "{outcome}");
    let after = host.advance(ms(500));
    assert_eq!(messages(&after), ["audited /deny with 201", "dropped: the audit"], "{after}");
}

#[proxy_filter_host::test(guest = "futures", module = guest)]
fn the_error_of_a_spawned_future_is_logged_and_affects_no_stream(mut host: Host) {
    start(&mut host);
    host.expect_error("failed at once");
    host.expect_error("failed later");
    let outcome = host.get("/fail").send();
    assert_eq!(outcome.status(), 200, "{outcome}");
    assert_eq!(messages(&outcome), ["a filter function of context 1 failed: failed at once"], "{outcome}");
    outcome.expect_error("failed at once");
    let after = host.advance(ms(500));
    assert_eq!(messages(&after), ["a filter function of context 1 failed: failed later"], "{after}");
    after.expect_error("failed later");
}

#[proxy_filter_host::test(guest = "futures", module = guest, embedded)]
fn a_root_context_that_ends_drops_what_its_streams_spawned(mut host: Host) {
    start(&mut host);
    assert_eq!(host.get("/a").send().status(), 200);
    let update = host.reconfigure("{}").unwrap();
    assert!(update.callbacks().contains(&"proxy_on_delete"), "{update}");
    assert_eq!(messages(&update), ["dropped: the audit"], "{update}");
    let after = host.advance(ms(500));
    assert_eq!(messages(&after), Vec::<String>::new(), "{after}");
}

/// A future that was spawned does not belong to the stream: no part of the exchange is available in
/// it, at once or later, and none keeps it waiting.
#[proxy_filter_host::test(guest = "futures", module = guest)]
fn a_spawned_future_gets_an_error_for_each_part_of_an_exchange(mut host: Host) {
    start(&mut host);
    let refused = "a future that was spawned cannot await parts of an exchange, or end its stream";
    host.expect_error(refused);
    for path in ["/detached/now", "/detached/later"] {
        let outcome = host.post(path).chunks(["a", "b"]).send();
        assert_eq!((outcome.status(), outcome.upstream().unwrap().text()), (200, "ab".into()), "{outcome}");
        let after = host.advance(ms(300));
        let lines = [messages(&outcome), messages(&after)].concat();
        assert_eq!(lines.first().map(String::as_str), Some("11 parts, accepted: []"), "{outcome}{after}");
        assert!(lines.get(1).is_some_and(|line| line.contains(refused)), "{lines:?}");
        assert_eq!(lines.len(), 2, "{outcome}{after}");
    }
}
