//! Several filters in one module. Each event reaches the right filter and context once, for any
//! features that the filters use.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{GrpcStreamReply, Host, Received, Reply};
use std::collections::BTreeMap;
use std::time::Duration;

#[path = "../guests/examples/several.rs"]
mod guest;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The features that a root context can use, and how often each occurs in slightly more than a
/// second.
const ROOT: [(&str, u32); 7] =
    [("tick", 10), ("interval", 10), ("timer", 1), ("http", 1), ("grpc", 1), ("talk", 1), ("queue", 1)];
/// The events that a stream can await.
const STREAM: [&str; 4] = ["timer", "http", "grpc", "talk"];

/// The configuration of the filter: the features of its root context. An async function has no
/// `on_tick`.
fn configuration(filter: &str, uses: &str) -> String {
    match (filter, uses) {
        ("third", "tick") => r#"{ "words": "" }"#.into(),
        ("third", uses) => format!(r#"{{ "words": "{uses}" }}"#),
        _ => uses.into(),
    }
}

/// Serves the callouts of the filters.
fn serve(host: &mut Host) {
    host.cluster("service", |_: &Received| Reply::new(200).after(ms(20)));
    host.grpc_cluster("grpc", |_: &Received| Reply::grpc(b"").after(ms(20)));
    host.grpc_stream_cluster("talk", |_: &[u8]| GrpcStreamReply::from(vec![vec![]]).after(ms(20)));
}

/// Returns the events since the last report.
fn report(host: &mut Host) -> BTreeMap<String, u32> {
    report_at_most(host, u32::MAX)
}

/// The same, with at most this count for each event.
fn report_at_most(host: &mut Host, most: u32) -> BTreeMap<String, u32> {
    let exchange = host.get("/report").header("x-at-most", most.to_string()).send();
    let text = exchange.response().text();
    let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
    lines.map(|(event, times)| (event.to_owned(), times.parse().unwrap())).collect()
}

fn event(filter: &str, context: &str, kind: &str) -> String {
    format!("{filter} {context} {kind}")
}

/// The root context of one filter uses one feature after the other. The root contexts of the others
/// use the same feature all the time.
fn root_contexts(host: &mut Host, [one, others @ ..]: [&str; 3], also: &str) {
    serve(host);
    host.root_id(one);
    for other in others {
        host.plugin(other, configuration(other, also));
    }
    for (uses, times) in ROOT {
        host.configure(configuration(one, uses)).unwrap();
        host.advance(ms(1050));
        let as_often = ROOT.iter().find(|(kind, _)| *kind == also).unwrap().1;
        let expected = others.map(|other| (other, also, as_often)).into_iter().chain([(one, uses, times)]);
        let expected = expected.filter(|(filter, kind, _)| (*filter, *kind) != ("third", "tick"));
        let expected: BTreeMap<_, _> =
            expected.map(|(filter, kind, times)| (event(filter, "root", kind), times)).collect();
        assert_eq!(report(host), expected, "{one} uses {uses}, {others:?} use {also}");
    }
}

/// Each filter in turn changes its feature, while the others use this one.
macro_rules! beside {
    ($($also:ident)*) => {
        $(mod $also {
            use super::*;

            #[proxy_filter_host::test(guest = "several", module = guest, embedded)]
            fn each_event_of_the_first_filter_arrives_once(mut host: Host) {
                root_contexts(&mut host, ["first", "second", "third"], stringify!($also));
            }

            #[proxy_filter_host::test(guest = "several", module = guest, embedded)]
            fn each_event_of_the_second_filter_arrives_once(mut host: Host) {
                root_contexts(&mut host, ["second", "third", "first"], stringify!($also));
            }

            #[proxy_filter_host::test(guest = "several", module = guest, embedded)]
            fn each_event_of_the_third_filter_arrives_once(mut host: Host) {
                root_contexts(&mut host, ["third", "first", "second"], stringify!($also));
            }
        })*
    };
}

beside! { tick interval timer http grpc talk queue }

/// The streams of all filters await one event after the other, while all root contexts use all
/// features.
fn streams(host: &mut Host) {
    serve(host);
    host.root_id("first");
    host.plugin("second", "tick interval timer http grpc talk queue");
    host.plugin("third", configuration("third", "interval timer http grpc talk queue"));
    host.configure("tick interval timer http grpc talk queue").unwrap();
    for first in STREAM {
        for second in STREAM {
            for third in STREAM {
                let path = format!("/{first}/{second}/{third}");
                let request = host.get(&path);
                let request = if first == second { request.http2() } else { request };
                let waits = request.header("x-first", first).header("x-second", second);
                let exchange = waits.header("x-third", third).send();
                assert_eq!(exchange.status(), 200, "{exchange}");
                let (of_roots, of_streams): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    report(host).into_iter().partition(|(event, _)| event.contains(" root "));
                let expected = [("first", first), ("second", second), ("third", third)];
                let expected: BTreeMap<_, _> =
                    expected.iter().map(|(filter, kind)| (event(filter, &path, kind), 1)).collect();
                assert_eq!(of_streams, expected, "{exchange}");
                let wrong: Vec<_> = of_roots.keys().filter(|event| event.contains("about")).collect();
                assert!(wrong.is_empty(), "{wrong:?}: {exchange}");
            }
        }
    }
}

#[proxy_filter_host::test(guest = "several", module = guest, embedded)]
fn each_event_reaches_its_own_context_once_for_every_pending_callout(mut host: Host) {
    streams(&mut host);
}

#[proxy_filter_host::test(guest = "several", module = guest)]
fn a_sample_of_the_combinations_runs_in_every_host(mut host: Host) {
    // The log lines of starting VMs are in another order each time.
    host.workers(1);
    serve(&mut host);
    host.root_id("first");
    host.plugin("second", "interval http");
    host.plugin("third", configuration("third", "interval timer grpc talk"));
    // In a real host, the VM that receives items depends on their order. The other tests cover
    // queues.
    host.configure("tick timer http grpc talk").unwrap();
    let path = "/sample";
    let waits = host.get(path).header("x-first", "timer").header("x-second", "talk").header("x-third", "grpc");
    let exchange = waits.send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    host.advance(ms(1000));
    // A real host needs slightly more time.
    let found = report_at_most(&mut host, 8);
    let once = [
        ("first", "root", &["timer", "http", "grpc", "talk"][..]),
        ("second", "root", &["http"]),
        ("third", "root", &["timer", "grpc", "talk"]),
        ("first", path, &["timer"]),
        ("second", path, &["talk"]),
        ("third", path, &["grpc"]),
    ];
    let once = once.iter().flat_map(|(filter, context, kinds)| kinds.iter().map(|kind| event(filter, context, kind)));
    let often = [("first", "tick"), ("second", "interval"), ("third", "interval")];
    let often = often.iter().map(|(filter, kind)| (event(filter, "root", kind), 8));
    assert_eq!(found, once.map(|event| (event, 1)).chain(often).collect());
}

#[proxy_filter_host::test(guest = "several", module = guest)]
fn a_filter_of_connections_in_the_same_module_gets_only_its_own_events(mut host: Host) {
    serve(&mut host);
    host.root_id("fourth");
    host.tcp();
    host.configure("").unwrap();
    for kind in ["timer", "http", "grpc"] {
        let connection = host.connect().send(kind).upstream_answers(<[u8]>::to_vec).play();
        assert_eq!(connection.messages(), [format!("fourth {kind}")], "{connection}");
    }
}
