//! Clock, tick, metrics, shared data and queues: the same in the embedded host and in Envoy.

use proxy_filter_host::{Host, Reply};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[proxy_filter_host::test(guest = "shared_state")]
fn the_clock_is_the_hosts(mut host: Host) {
    let exchange = host.get("/clock").send();
    assert_eq!(exchange.messages(), ["after 2024: true"], "{exchange}");
    let _ = host.advance(ms(300));
    let exchange = host.get("/clock-again").send();
    assert_eq!(exchange.messages(), ["300 ms have passed: true"], "{exchange}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn ticks_run_until_the_filter_stops_them(mut host: Host) {
    let _ = host.get("/tick").send();
    let meanwhile = host.advance(ms(1200));
    assert_eq!(meanwhile.messages(), ["tick 1", "tick 2", "tick 3"], "{meanwhile}");
    assert_eq!(meanwhile.callbacks(), ["proxy_on_tick"; 3]);
    assert!(host.advance(ms(400)).messages().is_empty());
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_tick_set_while_configuring_runs_without_any_stream(mut host: Host) {
    host.configure("tick").unwrap();
    let meanwhile = host.advance(ms(900));
    assert_eq!(meanwhile.messages(), ["tick 1"], "{meanwhile}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_period_that_hosts_cannot_count_is_refused(mut host: Host) {
    let exchange = host.get("/tick-long").send();
    assert_eq!(exchange.messages(), ["Err(InvalidInput)"], "{exchange}");
    assert_eq!(exchange.status(), 200);
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_failed_tick_is_logged_and_the_next_one_runs(mut host: Host) {
    let _ = host.get("/fail").send();
    let _ = host.get("/tick").send();
    let meanwhile = host.advance(ms(1200));
    let failed = "on_tick of context 1 failed: the tick failed as asked";
    assert_eq!(meanwhile.messages(), ["tick 1", failed, "tick 2", failed, "tick 3", failed], "{meanwhile}");
    meanwhile.expect_error(failed);
}

#[proxy_filter_host::test(guest = "shared_state")]
fn metrics_count_in_the_host(mut host: Host) {
    let exchange = host.get("/metrics").send();
    assert_eq!(
        exchange.messages(),
        ["requests 3 in flight 3", "in flight 10", "Err(InvalidInput)", "Err(InvalidInput)"],
        "{exchange}"
    );
    let exchange = host.get("/metrics").send();
    assert!(exchange.messages().contains(&"requests 6 in flight 13"), "{exchange}");
    assert_eq!(host.metric("requests"), Some(6));
    assert_eq!(host.metric("in_flight"), Some(10));
    assert_eq!(host.metric("late"), None, "an increment of 0 does not define it");
    assert_eq!(host.metric("latency_ms"), None, "a histogram has no single value");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_metric_can_be_defined_before_it_is_used(mut host: Host) {
    host.configure("define").unwrap();
    assert_eq!((host.metric("requests"), host.metric("in_flight")), (Some(0), Some(0)));
    let _ = host.get("/metrics").send();
    assert_eq!(host.metric("requests"), Some(3));
}

#[proxy_filter_host::test(guest = "shared_state")]
fn labels_are_a_part_of_the_name_and_bounded(mut host: Host) {
    let exchange = host.get("/labels").send();
    assert_eq!(exchange.messages(), ["GET 200: 2", "open 3 7"], "{exchange}");
    assert_eq!(host.metric("responses.method.GET.status.200"), Some(2));
    assert_eq!(host.metric("responses.method.a%2Eb.status.%"), Some(1));
    assert_eq!(host.metric("responses.method.PUT.status.200"), None);
    assert_eq!(host.metric("responses.method.other.status.other"), Some(3));
    assert_eq!(host.metric("open.side.response"), Some(7));
}

#[proxy_filter_host::test(guest = "shared_state")]
fn shared_data_is_written_only_if_it_is_unchanged_since_the_read(mut host: Host) {
    let exchange = host.get("/data").send();
    assert_eq!(
        exchange.messages(),
        [
            "missing: None",
            "inserted: true",
            "inserted: false",
            "1 true",
            "false Some(\"3\")",
            "empty: Some(\"\")",
            "empty key: Some(\"\\xff\")"
        ],
        "{exchange}"
    );
}

#[proxy_filter_host::test(guest = "shared_state")]
fn no_update_of_a_cell_is_lost(mut host: Host) {
    let exchange = host.get("/cells").send();
    assert_eq!(
        exchange.messages(),
        [
            "None 41",
            "after a race: 101 Some(101)",
            "Err(Conflict) after 1000 attempts, Some(7)",
            "left: None false",
            "0 3",
            "Some(5) None 5",
            "true None",
            r#"1 requests, Some("{"start":0,"requests":["/"]}")"#,
            "Some(28)",
            "Err(Malformed) SharedCell(window)"
        ],
        "{exchange}"
    );
    let exchange = host.get("/cells").send();
    assert_eq!(exchange.messages()[0], "Some(7) 8", "another stream sees the same: {exchange}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn the_registrant_is_notified_of_each_item_after_the_callback(mut host: Host) {
    let exchange = host.get("/queue").send();
    assert_eq!(
        exchange.messages(),
        [
            "None",
            "true true",
            "None",
            "None",
            "ready, own true: Some(\"one\")",
            "ready, own true: Some(\"\")",
            "ready, own true: Some(\"three\")"
        ],
        "{exchange}"
    );
    let callbacks = exchange.callbacks();
    assert_eq!(
        callbacks[1..5],
        ["proxy_on_request_headers", "proxy_on_queue_ready", "proxy_on_queue_ready", "proxy_on_queue_ready"]
    );
}

#[proxy_filter_host::test(guest = "shared_state")]
fn items_that_are_dequeued_at_once_still_cause_callbacks(mut host: Host) {
    let _ = host.get("/queue").send();
    let exchange = host.get("/drain").send();
    assert_eq!(
        exchange.messages(),
        ["Some(0)", "2 items, then true", "ready, own true: None", "ready, own true: None", "ready, own true: None"],
        "{exchange}"
    );
}

#[proxy_filter_host::test(guest = "shared_state")]
fn items_cause_callbacks_between_the_messages_of_a_stream_or_after_it(mut host: Host) {
    let _ = host.get("/queue").send();
    for phase in ["request", "request-body", "response", "response-body", "log", "reply"] {
        let exchange = host.post(&format!("/enqueue-in-{phase}")).body("data").send();
        assert_eq!(exchange.messages(), [format!("ready, own true: Some(\"{phase}\")")], "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "shared_state")]
fn items_cause_callbacks_between_the_chunks_of_a_body(mut host: Host) {
    let _ = host.get("/queue").send();
    host.upstream(|_| Reply::new(200).chunks(["ef", "gh"]));
    let exchange = host.post("/enqueue-in-pieces").chunks(["ab", "cd"]).send();
    assert_eq!(exchange.messages(), ["ready, own true: Some(\"piece\")"; 6], "{exchange}");
    let exchange = host.post("/enqueue-in-pieces").chunks(["ab", "cd"]).trailer("x-t", "1").send();
    assert_eq!(exchange.messages().len(), 6, "{exchange}");
    let exchange = host.post("/enqueue-in-pieces").chunks(["ab", "cd"]).http2().send();
    assert_eq!(exchange.messages().len(), 4, "{exchange}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_queue_registered_while_configuring_notifies_the_worker(mut host: Host) {
    host.configure("queue").unwrap();
    let exchange = host.get("/enqueue-in-log").send();
    assert_eq!(exchange.messages(), ["ready, own true: Some(\"log\")"], "{exchange}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_tick_can_use_a_queue(mut host: Host) {
    host.configure("queue").unwrap();
    let _ = host.get("/tick").send();
    let meanwhile = host.advance(ms(1200));
    assert_eq!(meanwhile.messages().len(), 6, "{meanwhile}");
    assert_eq!(meanwhile.messages()[..2], ["tick 1", "ready, own true: Some(\"from tick 1\")"], "{meanwhile}");
}

#[proxy_filter_host::test(guest = "shared_state")]
fn a_failed_queue_callback_is_logged_and_the_next_one_runs(mut host: Host) {
    let _ = host.get("/fail").send();
    let exchange = host.get("/queue").send();
    let failed = "on_queue_ready of context 1 failed: the queue failed as asked";
    assert_eq!(exchange.messages().iter().filter(|line| **line == failed).count(), 3, "{exchange}");
    exchange.expect_error(failed);
    assert_eq!(exchange.status(), 200);
}
