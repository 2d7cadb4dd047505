//! gRPC calls and streams of a filter, and the messages that are paused for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::{GrpcStreamReply, Host, Outcome, Received, Reply};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A message with this text as its first field. An empty text is not encoded.
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    if text.is_empty() { Vec::new() } else { [&[0x0a, length], text.as_bytes()].concat() }
}

fn path(call: &Received) -> String {
    call.header(":path").unwrap_or_default().to_string()
}

/// Returns a host whose cluster `service` responds to calls with this function, and whose cluster
/// `talk` echoes unknown messages.
fn serve(host: &mut Host, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
    host.grpc_cluster("service", answer);
    host.grpc_stream_cluster("talk", |message| {
        if message == text("end") {
            return GrpcStreamReply::from(vec![text("bye")]).end(5, "gone: 50% über");
        }
        let slow = if message == text("slow") { ms(200) } else { ms(0) };
        GrpcStreamReply::from(vec![message.to_vec()]).after(slow)
    });
    host.cluster_without_hosts("empty");
    host.cluster_refusing_connections("down");
    // Resumes the requests of streams whose time has elapsed.
    host.cluster("clock", |_call| Reply::new(200).after(ms(400)));
    host.cluster("http", |_call| Reply::new(200).body("hello"));
    host.configure("").unwrap();
}

/// Returns the filter's report to the upstream.
fn answer(exchange: &Outcome) -> String {
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("nothing reached the upstream: {exchange}"));
    upstream.header("x-answer").unwrap_or_default().to_string()
}

/// The callbacks about gRPC, without their prefix.
fn told(exchange: &Outcome) -> Vec<&str> {
    exchange.callbacks().iter().filter_map(|name| name.strip_prefix("proxy_on_grpc_")).collect()
}

#[proxy_filter_host::test(guest = "grpc")]
fn the_response_of_a_call_is_the_decoded_message(mut host: Host) {
    serve(&mut host, |call| Reply::grpc(call.grpc_messages().concat()).header("x-initial", "1").trailer("x-t", "1"));
    let exchange = host.get("/call/Ask").send();
    assert_eq!(answer(&exchange), "[Ask]", "{exchange}");
    assert_eq!(told(&exchange), ["receive"], "{exchange}");
    let calls = exchange.calls("service");
    assert_eq!((calls.len(), path(&calls[0])), (1, "/pkg.Service/Ask".to_owned()));
    assert_eq!(calls[0].grpc_messages(), [text("Ask")]);
    assert_eq!(calls[0].header("x-raw-bin"), Some("AA0K/w==".into()), "the bytes 0, CR, LF and 255");
    assert_eq!(calls[0].header("grpc-timeout"), Some("200m".into()));
}

#[proxy_filter_host::test(guest = "grpc")]
fn an_empty_message_is_a_response(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    assert_eq!(answer(&host.get("/call/Ask").send()), "[]");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_status_has_its_code_and_its_message(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/pkg.Service/Denied" => Reply::grpc_status(7, "not you: 50% über"),
        "/pkg.Service/Bare" => Reply::grpc_status(16, ""),
        "/pkg.Service/Down" => Reply::grpc_status(14, "later"),
        "/pkg.Service/Slow" => Reply::grpc_status(4, "too slow"),
        _ => Reply::grpc_status(99, "unheard of"),
    });
    for (method, expected) in [
        ("Denied", "PERMISSION_DENIED (7): the gRPC call failed: PERMISSION_DENIED (7): not you: 50% über"),
        ("Bare", "UNAUTHENTICATED (16): the gRPC call failed: UNAUTHENTICATED (16)"),
        ("Down", "UNAVAILABLE (14): the gRPC call failed: UNAVAILABLE (14): later"),
        ("Slow", "DEADLINE_EXCEEDED (4): the gRPC call failed: DEADLINE_EXCEEDED (4): too slow"),
    ] {
        let exchange = host.get(&format!("/call/{method}")).send();
        assert_eq!((answer(&exchange).as_str(), told(&exchange)), (expected, vec!["close"]), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn the_error_of_a_service_without_a_response_has_the_reason(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/pkg.Service/Slow" => Reply::grpc(text("late")).after(ms(600)),
        "/pkg.Service/Reset" => Reply::reset(),
        "/pkg.Service/Cut" => Reply::grpc(text("half")).cut_off(),
        "/pkg.Service/None" => Reply::grpc_messages::<&str>([]),
        "/pkg.Service/Plain" => Reply::new(200).body("hello"),
        "/pkg.Service/NotFound" => Reply::new(404),
        _ => Reply::new(503),
    });
    for (path, expected) in [
        ("/call/Slow", "DEADLINE_EXCEEDED (4): the gRPC call failed: no response in time"),
        (
            "/call/Reset",
            "UNAVAILABLE (14): the gRPC call failed: UNAVAILABLE (14): upstream connect error or disconnect/reset before headers",
        ),
        ("/call/Cut", "INTERNAL (13): the gRPC call failed: INTERNAL (13): upstream_reset_after_response_started"),
        ("/call/None", "INTERNAL (13): the gRPC call failed: INTERNAL (13)"),
        ("/call/Plain", "INTERNAL (13): the gRPC call failed: INTERNAL (13)"),
        ("/call/NotFound", "UNIMPLEMENTED (12): the gRPC call failed: UNIMPLEMENTED (12)"),
        ("/call/Unavailable", "UNAVAILABLE (14): the gRPC call failed: UNAVAILABLE (14)"),
        (
            "/cluster/down",
            "UNAVAILABLE (14): the gRPC call failed: UNAVAILABLE (14): upstream connect error or disconnect/reset before headers",
        ),
    ] {
        let exchange = host.get(path).send();
        assert!(answer(&exchange).starts_with(expected), "{path}: {}\n{exchange}", answer(&exchange));
        assert_eq!((exchange.status(), told(&exchange)), (200, vec!["close"]), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn only_an_unavailable_service_is_an_outage(mut host: Host) {
    serve(&mut host, |call| match path(call).trim_start_matches("/pkg.Service/") {
        "Slow" => Reply::grpc(text("late")).after(ms(600)),
        "Reset" => Reply::reset(),
        "Cut" => Reply::grpc(text("half")).cut_off(),
        "Malformed" => Reply::grpc(b"\x0a\x05ab"),
        method => match method.split_at(4) {
            ("Http", status) => Reply::new(status.parse().unwrap()),
            (_, code) => Reply::grpc_status(code.parse().unwrap(), "told"),
        },
    });
    let codes = (1..=17).map(|code| (format!("/call/Code{code}"), code == 4 || code == 14));
    // Envoy converts 429 to `UNAVAILABLE`, as gRPC specifies.
    let statuses = [400, 401, 403, 404, 413, 414, 429, 431, 502, 503, 504]
        .map(|status| (format!("/call/Http{status}"), status > 500 || status == 429));
    let others = [
        ("/call/Slow", true),
        ("/call/Reset", true),
        ("/call/Cut", true),
        ("/call/Malformed", false),
        ("/cluster/down", true),
        ("/cluster/unknown", true),
        ("/cluster/empty", true),
        ("/cluster/", false),
        ("/zero", false),
        ("/misbuilt", false),
    ];
    let others = others.map(|(path, is_outage)| (path.to_owned(), is_outage));
    for (path, is_outage) in codes.chain(statuses).chain(others) {
        let exchange = host.get(&path).send();
        let expected = if is_outage { "outage" } else { "refusal" };
        assert_eq!(exchange.upstream().unwrap().header("x-verdict"), Some(expected.into()), "{path}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_response_of_another_type_is_malformed(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(b"\x0a\x05ab"));
    let exchange = host.get("/call/Ask").send();
    assert!(answer(&exchange).starts_with("INTERNAL (13): the gRPC call failed: malformed response: "), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_call_that_cannot_be_made_completes_at_once(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    for (path, why) in [
        ("/cluster/unknown", "UNAVAILABLE (14): the gRPC call failed: no such cluster, or no healthy upstream"),
        ("/cluster/empty", "UNAVAILABLE (14): the gRPC call failed: no such cluster, or no healthy upstream"),
        // With this bare name, Envoy would abort.
        ("/cluster/authz_svc", "UNAVAILABLE (14): the gRPC call failed: no such cluster, or no healthy upstream"),
        ("/cluster/", "INTERNAL (13): a gRPC call needs the name of a cluster"),
        ("/zero", "INTERNAL (13): the timeout of a gRPC call must be longer than 0"),
        ("/misbuilt", "INTERNAL (13): `:…`, `grpc-…`, `te` and `content-type` are not metadata"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert!(answer(&exchange).starts_with(why), "{path}: {}\n{exchange}", answer(&exchange));
        assert!(!told(&exchange).contains(&"receive"), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_service_without_grpc_is_an_error(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/cluster/http").send();
    assert!(answer(&exchange).starts_with("INTERNAL (13): the gRPC call failed: INTERNAL (13)"), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn several_calls_complete_in_any_order(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/pkg.Service/A" => Reply::grpc(text("a")).after(ms(170)),
        "/pkg.Service/B" => Reply::grpc(text("b")).after(ms(40)),
        _ => Reply::grpc_status(8, "c").after(ms(100)),
    });
    let exchange = host.get("/several").send();
    let expected = "[b]; RESOURCE_EXHAUSTED (8): the gRPC call failed: RESOURCE_EXHAUSTED (8): c; [a]";
    assert_eq!(answer(&exchange), expected, "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_completion_can_send_a_local_reply(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc_status(7, ""));
    let exchange = host.get("/denied").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_failing_completion_affects_its_stream_only(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/pkg.Service/Denied" => Reply::grpc_status(5, "who?"),
        _ => Reply::grpc(text("yes")),
    });
    let exchange = host.get("/denied").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    exchange.expect_error("NOT_FOUND (5): who?; the client gets a 503");
    assert_eq!(answer(&host.get("/call/After").send()), "[yes]");
}

#[proxy_filter_host::test(guest = "grpc")]
fn bodies_and_responses_are_paused_until_a_call_completes(mut host: Host) {
    serve(&mut host, |call| Reply::grpc(call.grpc_messages().concat().to_ascii_uppercase()).after(ms(100)));
    let exchange = host.post("/body").chunks(["a bo", "dy"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "A BODY", "{exchange}");
    let exchange = host.get("/response").send();
    assert_eq!(exchange.response().header("x-answer"), Some("[RESPONSE]".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_client_disconnect_cancels_pending_calls(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(text("late")).after(ms(150)));
    let exchange = host.get("/call/Late").disconnect_after(ms(50)).send();
    assert_eq!((exchange.status(), exchange.callbacks().last()), (0, Some(&"proxy_on_delete")), "{exchange}");
    let later = host.advance(ms(400));
    assert!(later.callbacks().is_empty() && later.messages().is_empty(), "{later}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_call_that_pauses_no_stream_completes(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(text("yes")));
    host.upstream(|_request| Reply::new(200).after(ms(200)));
    let exchange = host.get("/aside").send();
    assert_eq!(exchange.messages(), ["aside: [yes]"], "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_root_context_makes_a_call_in_on_configure(mut host: Host) {
    host.grpc_cluster("service", |_call| Reply::grpc(text("yes")).after(ms(300)));
    host.configure("call").unwrap();
    let later = host.advance(ms(600));
    assert_eq!(later.messages(), ["the root got [yes]"], "{later}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn messages_sent_on_a_stream_get_responses_one_by_one(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/echo").send();
    let expected = "initial  None; [one]; []; [two]; trailing 0 None; closed; not sent: a message for a gRPC stream that has ended";
    assert_eq!(answer(&exchange), expected, "{exchange}");
    let talk = &exchange.calls("talk")[0];
    assert_eq!((talk.grpc_messages(), talk.complete), (vec![text("one"), text(""), text("two")], true));
    assert_eq!(talk.header("x-raw-bin"), Some("AA==".into()));
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_half_closed_at_once_ends_the_stream(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/silent").send();
    let answer = answer(&exchange);
    assert!(answer.starts_with("not sent: a message for a gRPC stream that has ended; initial "), "{exchange}");
    assert!(answer.contains("; closed"), "{exchange}");
    assert!(exchange.calls("talk")[0].grpc_messages().is_empty(), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_server_may_end_a_stream_first(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/end").send();
    let answer = answer(&exchange);
    assert!(answer.contains("[bye]; trailing 5 None; "), "{exchange}");
    assert!(
        answer.contains("closed: NOT_FOUND (5): the gRPC call failed: NOT_FOUND (5): gone: 50% über"),
        "{exchange}"
    );
    assert!(answer.ends_with("; not sent: a message for a gRPC stream that has ended"), "{exchange}");
    assert_eq!(told(&exchange).last(), Some(&"close"), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_cancelled_stream_has_no_more_events(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/cancel").send();
    assert_eq!(answer(&exchange), "initial  None; [one]", "{exchange}");
    assert_eq!(told(&exchange), ["receive_initial_metadata", "receive"], "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_handler_that_fails_gets_later_events(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/fail").send();
    assert_eq!(
        answer(&exchange),
        "initial  None; [one]; [two]; trailing 0 None; closed; not sent: a message for a gRPC stream that has ended",
        "{exchange}"
    );
    assert_eq!(exchange.messages().len(), 1, "{exchange}");
    exchange.expect_error("the handler of a gRPC stream of context 2 failed: the handler failed");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_stream_has_initial_and_trailing_metadata(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    host.grpc_cluster("meta", |call| {
        let reply = Reply::grpc_messages(call.grpc_messages());
        reply.header("x-kind", "first").header("x-raw-bin", "AAH/").trailer("x-raw-bin", "AAE")
    });
    host.grpc_cluster("status", |_call| Reply::grpc_status(9, "no").header("x-raw-bin", "!"));
    host.configure("").unwrap();
    let exchange = host.get("/once/meta").send();
    let expected = "initial first Some([0, 1, 255]); [m]; trailing 0 Some([0, 1]); closed; ";
    assert!(answer(&exchange).starts_with(expected), "{exchange}");
    let exchange = host.get("/once/status").send();
    exchange.expect_error("binary metadata that is not base64");
    assert!(answer(&exchange).contains("closed: FAILED_PRECONDITION (9): "), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_stream_that_cannot_be_opened_is_refused_once(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let why = "not opened: the gRPC call failed: no such cluster, or no healthy upstream";
    for path in ["/once/empty", "/once/unknown", "/once/authz_svc"] {
        let exchange = host.get(path).send();
        assert_eq!(answer(&exchange), why, "{exchange}");
        assert_eq!(told(&exchange).last(), Some(&"close"), "the host tells of it, and nobody listens: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_stream_whose_service_cannot_be_reached_is_closed(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    host.grpc_cluster("never", |_call| Reply::reset());
    host.grpc_cluster("cut", |_call| Reply::grpc(text("half")).cut_off());
    host.configure("").unwrap();
    for (cluster, first, code) in [
        ("down", "initial  None; trailing 14", "14"),
        ("never", "initial  None; trailing 14", "14"),
        ("cut", "initial  None; [half]; ", "13"),
    ] {
        let exchange = host.get(&format!("/once/{cluster}")).send();
        let answer = answer(&exchange);
        assert!(
            answer.starts_with(first) && answer.contains(&format!("({code}): the gRPC call failed: ")),
            "{exchange}"
        );
        assert_eq!(told(&exchange).iter().filter(|name| **name == "close").count(), 1, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_message_of_another_type_ends_the_stream(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    host.grpc_cluster("other", |_call| Reply::grpc_messages([text("good"), b"\x0a\x05ab".to_vec(), text("late")]));
    host.configure("").unwrap();
    let exchange = host.get("/once/other").send();
    let answer = answer(&exchange);
    assert!(answer.contains("[good]; closed: INTERNAL (13): the gRPC call failed: malformed response: "), "{exchange}");
    assert!(!answer.contains("late]"), "{exchange}");
    assert!(!told(&exchange).contains(&"close"), "{exchange}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_stream_ends_with_the_request_that_opened_it(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/left").disconnect_after(ms(100)).send();
    assert_eq!((exchange.status(), exchange.callbacks().last()), (0, Some(&"proxy_on_delete")), "{exchange}");
    let later = host.advance(ms(600));
    assert!(!later.callbacks().iter().any(|name| name.contains("grpc")) && later.messages().is_empty(), "{later}");
}

#[proxy_filter_host::test(guest = "grpc")]
fn a_stream_of_the_root_has_no_request(mut host: Host) {
    host.grpc_cluster("talk", |_call| Reply::grpc_status(12, "not here"));
    host.configure("stream").unwrap();
    let later = host.advance(ms(600));
    assert!(later.messages().iter().all(|line| line.starts_with("the root's stream: ")), "{later}");
    assert!(told(&later).len() <= 1, "{later}");
}

#[proxy_filter_host::test(guest = "grpc_exchange")]
fn a_call_can_be_awaited(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/pkg.Service/A" => Reply::grpc("a").after(ms(100)),
        "/pkg.Service/B" => Reply::grpc_status(5, "no b").after(ms(50)),
        _ => Reply::grpc("other"),
    });
    for (path, expected) in [
        ("/any", "other"),
        ("/both", "a, the gRPC call failed: NOT_FOUND (5): no b"),
        ("/refused", "a gRPC call needs the name of a cluster"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(answer(&exchange), expected, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc_exchange")]
fn a_future_that_is_dropped_cancels_its_call(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc("late").after(ms(200)));
    let exchange = host.get("/any").disconnect_after(ms(50)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    let later = host.advance(ms(400));
    assert!(later.callbacks().is_empty(), "{later}");
}

#[proxy_filter_host::test(guest = "grpc_exchange")]
fn the_messages_of_a_stream_can_be_awaited(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    for (path, expected) in [
        ("/closed", "None"),
        ("/dropped", "once"),
        ("/nobody", "the gRPC call failed: no such cluster, or no healthy upstream"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(answer(&exchange), expected, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc_exchange")]
fn the_end_of_a_grpc_stream_can_be_awaited(mut host: Host) {
    serve(&mut host, |_call| Reply::grpc(""));
    let exchange = host.get("/stream").send();
    // A value is printed with doubled backslashes.
    let expected = "\\\\x0a\\\\x03one; \\\\x0a\\\\x03bye; the gRPC call failed: NOT_FOUND (5): gone: 50% über";
    assert_eq!(answer(&exchange), expected, "{exchange}");
}
