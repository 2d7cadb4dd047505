//! A future that several streams await belongs to none of them. If one of the streams ends, the
//! others still get the result.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{GrpcStreamReply, Host, Outcome, Received, Reply};
use std::time::Duration;

#[path = "../guests/examples/shared_futures.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The awaited event, its result, and the cluster whose calls are counted.
const KINDS: [(&str, &str, &str); 4] =
    [("/timer", "1", ""), ("/http", "200", "service"), ("/grpc", "2", "grpc"), ("/talk", "3", "")];

fn start(host: &mut Host, beyond_roots: bool) {
    start_slow(host, beyond_roots, ms(200));
}

/// Starts the plugin with services that respond after this time.
fn start_slow(host: &mut Host, beyond_roots: bool, delay: Duration) {
    host.cluster("service", move |_: &Received| Reply::new(200).after(delay));
    host.grpc_cluster("grpc", move |_: &Received| Reply::grpc(b"").after(delay));
    host.grpc_stream_cluster("talk", move |_: &[u8]| GrpcStreamReply::from(vec![vec![]]).after(delay));
    host.configure(format!(r#"{{ "beyond_roots": {beyond_roots} }}"#)).unwrap();
}

fn header(exchange: &Outcome, name: &str) -> Option<String> {
    exchange.upstream()?.header(name).map(|value| value.to_string())
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn the_stream_that_started_a_shared_future_may_end_first(mut host: Host) {
    start(&mut host, false);
    ends_first(&mut host, &KINDS[..3]);
}

/// A real host records a gRPC stream in both exchanges.
#[proxy_filter_host::test(guest = "shared_futures", module = guest, embedded)]
fn the_stream_that_connected_a_shared_grpc_stream_may_end_first(mut host: Host) {
    start(&mut host, false);
    ends_first(&mut host, &KINDS[3..]);
}

fn ends_first(host: &mut Host, kinds: &[(&str, &str, &str)]) {
    for (kind, got, cluster) in kinds.iter().copied() {
        let first = host.get(kind).disconnect_after(ms(50)).send();
        assert_eq!(first.status(), 0, "{first}");
        let second = host.get(kind).disconnect_after(ms(3000)).send();
        assert_eq!(second.status(), 200, "{kind}: {second}");
        assert_eq!((header(&second, "x-got").as_deref(), header(&second, "x-again")), (Some(got), None), "{second}");
        let calls = if cluster.is_empty() { 0 } else { first.calls(cluster).len() + second.calls(cluster).len() };
        assert!(calls <= 1, "{kind}: it was made once: {second}");
    }
}

/// The root context that started the future has ended, and the host's calls with it. The calls are
/// repeated, and a timer continues.
#[proxy_filter_host::test(guest = "shared_futures", module = guest, embedded)]
fn the_root_context_that_started_a_shared_future_may_end_first(mut host: Host) {
    for (kind, got, _) in KINDS {
        start(&mut host, true);
        let first = host.get(kind).disconnect_after(ms(50)).send();
        assert_eq!(first.status(), 0, "{first}");
        let update = host.reconfigure(r#"{ "beyond_roots": true }"#).unwrap();
        assert!(update.callbacks().contains(&"proxy_on_delete"), "{update}");
        let second = host.get(kind).disconnect_after(ms(3000)).send();
        assert_eq!(second.status(), 200, "{kind}: {second}");
        assert_eq!(header(&second, "x-got").as_deref(), Some(got), "{second}");
        assert_eq!(header(&second, "x-again").is_some(), kind != "/timer", "{second}");
    }
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn all_pending_streams_are_woken_when_the_first_poller_disconnects(mut host: Host) {
    // In a real Envoy, ticks are at other times. With workers, they are not compared.
    host.workers(1);
    start(&mut host, false);
    all_are_woken(&mut host, &KINDS[..1]);
}

/// In a real host, the tick that wakes a stream may come later.
#[proxy_filter_host::test(guest = "shared_futures", module = guest, embedded)]
fn all_pending_streams_of_a_shared_call_are_woken(mut host: Host) {
    start(&mut host, false);
    all_are_woken(&mut host, &KINDS[1..]);
}

/// Three streams await the future. One has started it and ends, one is before its response, and the
/// request of one is paused.
fn all_are_woken(host: &mut Host, kinds: &[(&str, &str, &str)]) {
    for (kind, got, _) in kinds.iter().copied() {
        let (mut beside, mut last) = (None, None);
        let first = host.get(&format!("{kind}/first")).before_response(|host| {
            let path = format!("{kind}/beside");
            let waits = host.get(&path).before_response(|host| {
                last = Some(host.get(kind).disconnect_after(ms(3000)).send());
                let _ = host.advance(ms(50));
            });
            beside = Some(waits.send());
        });
        let first = first.send();
        assert_eq!(first.status(), 200, "{kind}: {first}");
        let (beside, last) = (beside.unwrap(), last.unwrap());
        assert_eq!((last.status(), header(&last, "x-got").as_deref()), (200, Some(got)), "{kind}: {last}");
        assert_eq!(beside.response().header("x-got"), Some(got.into()), "{kind}: {beside}");
    }
}

/// Two requests are in flight. The first one's call serves both.
fn shares(host: &mut Host, kinds: &[(&str, &str, &str)], second_ends_first: bool) {
    for (kind, got, cluster) in kinds.iter().copied() {
        let first = host.get(kind).start();
        let second = host.get(kind).start();
        // A real host may need the time of the timer to start both.
        assert!(kind == "/timer" || !first.has_ended(host) && !second.has_ended(host), "{kind}: they wait");
        let (first, second) = if second_ends_first {
            let second = second.finish(host);
            (first.finish(host), second)
        } else {
            (first.finish(host), second.finish(host))
        };
        for exchange in [&first, &second] {
            assert_eq!(exchange.status(), 200, "{kind}: {exchange}");
            assert_eq!(header(exchange, "x-got").as_deref(), Some(got), "{kind}: {exchange}");
        }
        let calls = first.calls(cluster).len() + second.calls(cluster).len();
        assert_eq!(calls, usize::from(!cluster.is_empty()), "{kind}: {first}{second}");
    }
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn one_call_serves_two_requests(mut host: Host) {
    start_slow(&mut host, false, ms(1000));
    for second_ends_first in [false, true] {
        shares(&mut host, &KINDS[1..3], second_ends_first);
    }
}

/// A real host records a gRPC stream in both exchanges.
#[proxy_filter_host::test(guest = "shared_futures", module = guest, embedded)]
fn one_grpc_stream_serves_two_requests(mut host: Host) {
    start_slow(&mut host, false, ms(1000));
    shares(&mut host, &[("/talk", "3", "")], false);
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn one_timer_serves_two_requests(mut host: Host) {
    // In a real Envoy, ticks are at other times. With workers, they are not compared.
    host.workers(1);
    start_slow(&mut host, false, ms(1000));
    shares(&mut host, &KINDS[..1], false);
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn a_request_continues_when_the_client_of_another_disconnects(mut host: Host) {
    start_slow(&mut host, false, ms(1000));
    let first = host.get("/http").disconnect_after(ms(300)).start();
    let second = host.get("/http").start();
    let first = first.finish(&mut host);
    assert_eq!((first.status(), second.has_ended(&mut host)), (0, false), "{first}");
    let second = second.finish(&mut host);
    assert_eq!((second.status(), header(&second, "x-got").as_deref()), (200, Some("200")), "{second}");
}

#[proxy_filter_host::test(guest = "shared_futures", module = guest)]
fn a_pending_stream_takes_an_item_after_another_disconnected(mut host: Host) {
    start(&mut host, false);
    let first = host.get("/queue").disconnect_after(ms(50)).send();
    assert_eq!(first.status(), 0, "{first}");
    assert_eq!(host.get("/enqueue").send().status(), 200);
    let second = host.get("/queue").disconnect_after(ms(3000)).send();
    assert_eq!((second.status(), header(&second, "x-got").as_deref()), (200, Some("4")), "{second}");
}
