//! Every await point of an async function, combined with every way in which its stream can end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Event, GrpcStreamReply, Host, Outcome, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const POINTS: [&str; 17] = [
    "request_headers",
    "call",
    "sleep",
    "grpc",
    "call_grpc_and_sleep",
    "request_body",
    "call_in_body",
    "request_chunk",
    "sleep_in_chunk",
    "request_trailers",
    "response_headers",
    "call_in_response",
    "grpc_in_response",
    "response_body",
    "response_chunk",
    "sleep_in_response",
    "response_trailers",
];

/// The ways in which a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    WithoutBodies,
    WithBodies,
    WithTrailers,
    /// The host refuses the request before its filters run.
    RefusedEarly,
    /// The router replies: there is no route.
    NoRoute,
    /// The upstream responds when it has the headers, before the request has ended.
    AnswersEarly,
    /// A later filter replies when it has the headers.
    ReplyToHeaders,
    ReplyToBody,
    UpstreamResets,
    /// The upstream closes the connection in the middle of its response.
    UpstreamCutsOff,
    /// The client disconnects while all futures are pending.
    ClientLeaves,
}

const ENDS: [End; 11] = [
    End::WithoutBodies,
    End::WithBodies,
    End::WithTrailers,
    End::RefusedEarly,
    End::NoRoute,
    End::AnswersEarly,
    End::ReplyToHeaders,
    End::ReplyToBody,
    End::UpstreamResets,
    End::UpstreamCutsOff,
    End::ClientLeaves,
];

/// Whether there is a filter after it.
fn in_chain(end: End) -> bool {
    matches!(end, End::ReplyToHeaders | End::ReplyToBody)
}

fn prepare(host: &mut Host, end: End) {
    host.root_id("points");
    if in_chain(end) {
        host.plugin("replier", "");
    }
    host.log_level(proxy_filter::log::LogLevel::Trace);
    // When the client disconnects, all futures are pending.
    let after = if end == End::ClientLeaves { ms(290) } else { ms(60) };
    host.cluster("service", move |_| Reply::new(200).body("ok").after(after));
    host.grpc_stream_cluster("talk", |_: &[u8]| GrpcStreamReply::default());
    host.upstream(|request| match request.header("x-end").unwrap_or_default().to_string().as_str() {
        "UpstreamResets" => Reply::reset(),
        "UpstreamCutsOff" => Reply::new(200).chunks(["one", "two"]).cut_off(),
        "WithoutBodies" => Reply::new(204),
        "WithTrailers" => Reply::new(200).chunks(["one", "two"]).trailer("x-t", "1"),
        "ClientLeaves" => Reply::new(200).body("late").after(ms(700)),
        _ => Reply::new(200).body("hello"),
    });
    host.configure("").unwrap();
}

fn play(host: &mut Host, point: &str, end: End) -> Outcome {
    let bodiless = matches!(end, End::WithoutBodies | End::RefusedEarly);
    let mut request = if bodiless { host.get("/") } else { host.post("/") };
    request = request.header("x-wait", point).header("x-end", format!("{end:?}"));
    if !bodiless {
        request = request.chunks(["ab", "cd"]);
    }
    request = match end {
        End::WithTrailers => request.trailer("x-t", "1"),
        End::RefusedEarly => request.without_authority(),
        End::NoRoute => request.header("x-unroutable", "1"),
        End::AnswersEarly => request.early_response(),
        End::ReplyToHeaders => request.header("x-reply", "headers"),
        End::ReplyToBody => request.header("x-reply", "body"),
        End::ClientLeaves => request.disconnect_after(ms(20)),
        _ => request,
    };
    request.send()
}

/// Checks the rules that hold for every end of a stream.
fn check(exchange: &Outcome, what: &str) {
    let count = |line: &str| exchange.messages().iter().filter(|found| **found == line).count();
    let position = |event: &dyn Fn(&Event) -> bool| exchange.record().events.iter().position(event);
    let refused = what.ends_with("RefusedEarly");
    assert_eq!(count("begun"), usize::from(!refused), "{what}: {exchange}");
    assert_eq!(count("gone"), count("begun"), "{what}, the function is dropped once: {exchange}");
    assert!(count("finished") <= count("resumed") && count("resumed") <= 1, "{what}: {exchange}");
    let deleted = |event: &Event| matches!(event, Event::Returned { name, .. } if name == "proxy_on_delete");
    let gone = |event: &Event| event.log_line().is_some_and(|line| line.message == "gone");
    if let (Some(gone), Some(deleted)) = (position(&gone), position(&deleted)) {
        assert!(gone < deleted, "{what}, dropped before the stream is deleted: {exchange}");
    }
}

#[test]
fn a_stream_may_end_at_every_await_point_by_every_cause() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = std::fs::read(build_guest(directory, "proxy-filter-guests", Some("await_points")).unwrap()).unwrap();
    for end in ENDS {
        let mut host = Host::for_module(&module);
        prepare(&mut host, end);
        for point in POINTS {
            let what = format!("waiting for {point}, {end:?}");
            let exchange = play(&mut host, point, end);
            check(&exchange, &what);
            let status = exchange.status();
            let expected: &[u16] = match end {
                End::RefusedEarly => &[400],
                // Also if a part of the request is awaited that never arrives.
                End::NoRoute => &[404],
                End::AnswersEarly => &[200],
                End::ReplyToHeaders | End::ReplyToBody => &[418],
                End::UpstreamResets => &[503],
                End::ClientLeaves => &[0],
                End::WithoutBodies => &[204],
                _ => &[200, 0],
            };
            assert!(expected.contains(&status), "{what}: {status}: {exchange}");
            let pending = ["call", "sleep", "grpc", "call_grpc_and_sleep", "call_in_body", "sleep_in_chunk"];
            if end == End::ClientLeaves && pending.contains(&point) {
                assert!(!exchange.messages().contains(&"resumed"), "{what}: {exchange}");
            }
            let later = host.advance(Duration::from_secs(2));
            assert!(later.messages().is_empty(), "{what}, nothing is delivered later: {later}");
        }
        assert!(host.violations().is_empty(), "{end:?}: {:?}", host.violations());
    }
}

/// A sample that also runs in Envoy: the most difficult points.
macro_rules! sample {
    ($($name:ident: $point:literal, $end:ident;)*) => {
        $(#[proxy_filter_host::test(guest = "await_points")]
        fn $name(mut host: Host) {
            prepare(&mut host, End::$end);
            check(&play(&mut host, $point, End::$end), concat!($point, ", ", stringify!($end)));
        })*
    };
}

sample! {
    a_call_is_pending_and_the_client_leaves: "call", ClientLeaves;
    a_grpc_stream_is_pending_and_the_client_leaves: "grpc", ClientLeaves;
    a_call_a_grpc_stream_and_a_sleep_are_pending_and_the_client_leaves: "call_grpc_and_sleep", ClientLeaves;
    a_call_a_grpc_stream_and_a_sleep_come_to_their_ends: "call_grpc_and_sleep", WithBodies;
    a_grpc_stream_for_a_response_is_pending_and_the_upstream_cuts_off: "grpc_in_response", UpstreamCutsOff;
    a_call_for_a_response_is_pending_and_the_upstream_cuts_off: "call_in_response", UpstreamCutsOff;
    a_body_is_awaited_and_the_upstream_answers: "request_body", AnswersEarly;
    pieces_are_awaited_and_the_upstream_answers: "request_chunk", AnswersEarly;
    request_trailers_are_awaited_and_the_upstream_answers: "request_trailers", AnswersEarly;
    a_response_is_awaited_and_comes_early: "response_headers", AnswersEarly;
    a_call_is_pending_and_the_upstream_would_answer_early: "call", AnswersEarly;
    a_call_for_a_response_that_came_early_is_pending: "call_in_response", AnswersEarly;
    a_response_body_is_awaited_and_comes_early: "response_body", AnswersEarly;
    a_body_is_awaited_and_a_later_filter_answers: "request_body", ReplyToHeaders;
    a_body_is_awaited_and_a_later_filter_answers_to_it: "request_body", ReplyToBody;
    a_call_for_a_body_is_pending_and_a_later_filter_answers: "call_in_body", ReplyToBody;
    a_call_for_the_response_of_a_later_filter_is_pending: "call_in_response", ReplyToHeaders;
    the_response_body_of_a_later_filter_is_awaited: "response_body", ReplyToBody;
    a_filter_sleeps_in_the_response_of_a_later_one: "sleep_in_response", ReplyToBody;
    pieces_are_awaited_and_a_later_filter_answers: "request_chunk", ReplyToBody;
    trailers_are_awaited_and_come: "request_trailers", WithTrailers;
    trailers_are_awaited_and_do_not_come: "response_trailers", WithBodies;
    a_response_body_is_awaited_and_cut_off: "response_body", UpstreamCutsOff;
    a_response_is_awaited_and_the_upstream_resets: "response_headers", UpstreamResets;
    a_response_is_awaited_and_there_is_no_route: "response_headers", NoRoute;
    a_body_is_awaited_and_there_is_none: "request_body", WithoutBodies;
    a_request_is_refused_early: "request_headers", RefusedEarly;
}
