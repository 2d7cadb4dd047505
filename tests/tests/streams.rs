//! The combinators of the crate `futures` work unchanged.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Received, Reply};
use std::time::Duration;

#[path = "../guests/examples/streams.rs"]
mod guest;

/// Returns a host with a service that responds with its path, after the number of milliseconds in
/// it.
fn start(host: &mut Host) {
    host.log_level(LogLevel::Info);
    host.cluster("service", |call: &Received| {
        let milliseconds = call.text().parse().unwrap_or_default();
        Reply::new(200).body(call.text()).after(Duration::from_millis(milliseconds))
    });
    host.grpc_stream_cluster("talk", |_: &[u8]| vec![b"one".to_vec(), b"two".to_vec()]);
    host.configure("").unwrap();
}

fn answer(exchange: &Outcome) -> String {
    assert_eq!(exchange.status(), 200, "{exchange}");
    exchange.upstream().unwrap().header("x-answer").unwrap_or_default().to_string()
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn ticks_are_a_stream(mut host: Host) {
    start(&mut host);
    assert_eq!(answer(&host.get("/ticks").send()), "3");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn streams_of_two_kinds_are_merged(mut host: Host) {
    start(&mut host);
    assert_eq!(answer(&host.get("/merged").send()), "one two tick");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn the_first_ready_future_is_selected(mut host: Host) {
    start(&mut host);
    assert_eq!(answer(&host.get("/selected").send()), "quick");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn calls_are_joined(mut host: Host) {
    start(&mut host);
    assert_eq!(answer(&host.get("/both").send()), "a b");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn a_set_of_calls_returns_responses_in_the_order_of_arrival(mut host: Host) {
    start(&mut host);
    assert_eq!(answer(&host.get("/unordered").send()), "100 200 300");
    assert_eq!(answer(&host.get("/many").send()), "60");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn a_part_of_the_stream_is_awaited_together_with_a_call(mut host: Host) {
    start(&mut host);
    let exchange = host.post("/body").chunks(["12", "345"]).send();
    assert_eq!((exchange.status(), exchange.upstream().unwrap().text().as_str()), (200, "12345"), "{exchange}");
    assert_eq!(exchange.messages(), ["5 20"], "{exchange}");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn chunks_of_a_body_are_a_stream(mut host: Host) {
    start(&mut host);
    let exchange = host.post("/chunks").chunks(["ab", "cd", "ef"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "abcdef", "{exchange}");
    assert_eq!(exchange.messages(), ["ab cd ef"], "{exchange}");
    let exchange = host.get("/chunks").send();
    assert_eq!(exchange.messages(), [""], "{exchange}");
    host.upstream(|_| Reply::new(200).chunks(["123", "45"]));
    let exchange = host.get("/response").send();
    assert_eq!((exchange.response().text().as_str(), exchange.messages()[0]), ("12345", "5 bytes"), "{exchange}");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn a_body_may_be_read_partly_as_a_stream(mut host: Host) {
    start(&mut host);
    let exchange = host.post("/some").chunks(["ab", "cd", "ef", "gh"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "abcdefgh", "{exchange}");
    assert_eq!(exchange.messages(), ["abcdefgh"], "{exchange}");
}

#[proxy_filter_host::test(guest = "streams", module = guest)]
fn a_root_task_awaits_two_queues_at_once(mut host: Host) {
    host.workers(1);
    start(&mut host);
    for (path, item) in
        [("/second/a", "item a"), ("/first/b", "item b"), ("/first/c", "item c"), ("/second/d", "item d")]
    {
        let exchange = host.get(path).send();
        assert_eq!(exchange.messages_of_all(), [item], "{exchange}");
    }
}
