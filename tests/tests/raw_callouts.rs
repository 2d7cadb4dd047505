//! HTTP callouts of the host, from a module that can make any host call: the foundation of an SDK.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Reply};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Pauses the request until the response arrives, logs the response, and resumes the request.
const ASK: &str = "call authz /check 1000; return 1";
const SHOW: &str = "status; pairs 6; pairs 7; buffer 4; stream; continue 0";

#[proxy_filter_host::test(guest = "script")]
fn a_completion_resumes_the_paused_request(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).header("x-twice", "1").header("x-twice", "2").body("yes"));
    host.configure("").unwrap();
    let exchange = host.get("/").header("x-request-headers", ASK).header("x-answer", SHOW).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let calls = exchange.calls("authz");
    assert_eq!(calls.len(), 1, "{exchange}");
    assert_eq!(calls[0].header("x-envoy-expected-rq-timeout-ms"), Some("1000".into()));
    assert!(exchange.messages().contains(&"buffer: 3 bytes: yes"), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_post_has_its_length_and_headers_as_given(mut host: Host) {
    host.cluster("authz", |call| Reply::new(200).body(call.text()));
    host.configure("").unwrap();
    let script = "headers authz :method=POST,:path=/a?b,:authority=h,X-A=1,content-length=99,x-a=2,accept=a,accept=b,te=trailers \
                  0 body; return 1";
    let exchange = host.get("/").header("x-request-headers", script).header("x-answer", SHOW).send();
    assert_eq!(exchange.calls("authz")[0].text(), "body", "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_call_without_a_body_keeps_its_content_length(mut host: Host) {
    host.cluster("authz", |call| Reply::new(204).header("x-length", call.header("content-length").unwrap_or_default()));
    host.configure("").unwrap();
    let script = "headers authz :method=PUT,:path=/,:authority=h 0; return 1";
    let exchange = host.get("/").header("x-request-headers", script).header("x-answer", SHOW).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn calls_that_cannot_be_made_are_refused_at_once(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200));
    host.cluster_without_hosts("empty");
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).after(ms(100)));
    let script = "call nowhere / 1; call empty / 1; headers authz :method=GET,:path=/ 1; headers authz :path=/,:authority=a 1; \
                  headers authz :method=GET,:authority=a 1; headers authz - 1; call authz / 2147483648; call authz / 2147483647";
    let exchange = host.get("/").header("x-request-headers", script).header("x-answer", "log answered").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.calls("authz").len(), 1);
    assert_eq!(exchange.messages(), ["answered"]);
}

#[proxy_filter_host::test(guest = "script")]
fn a_local_reply_of_envoy_has_no_service_time(mut host: Host) {
    host.cluster("slow", |_call| Reply::new(200).after(ms(1000)));
    host.cluster("closes", |_call| Reply::reset());
    host.cluster("upstreams_own", |call| {
        Reply::new(if call.header(":path") == Some("/503".into()) { 503 } else { 504 })
    });
    host.cluster_refusing_connections("down");
    host.configure("").unwrap();
    for (script, own) in [
        ("call slow / 200; return 1", true),
        ("call closes / 1000; return 1", true),
        ("call down / 1000; return 1", true),
        ("call upstreams_own /503 1000; return 1", false),
        ("call upstreams_own /504 1000; return 1", false),
    ] {
        let exchange = host.get("/").header("x-request-headers", script).header("x-answer", SHOW).send();
        let shown = exchange.messages().join("\n");
        assert!(shown.contains(":status: 503") || shown.contains(":status: 504"), "{exchange}");
        assert_eq!(shown.contains("x-envoy-upstream-service-time"), !own, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_truncated_response_is_an_error_with_a_status(mut host: Host) {
    host.cluster("sized", |_call| Reply::new(200).body("half").cut_off());
    host.cluster("chunked", |_call| Reply::new(200).chunks(["ha", "lf"]).cut_off());
    host.cluster("authz", |_call| Reply::new(200));
    host.configure("").unwrap();
    for cluster in ["sized", "chunked"] {
        let script = format!("call {cluster} / 1000; return 1");
        let answer = "status; pairs 6; pairs 7; get 6 :status; buffer 4; length 4; size 6; stream; get 0 :path; status; continue 0; status";
        let exchange = host.get("/").header("x-request-headers", script).header("x-answer", answer).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert!(exchange.messages().contains(&"status 11 reset"), "{exchange}");
    }
    // The code does not change.
    let exchange = host.get("/").header("x-request-headers", ASK).header("x-answer", SHOW).send();
    assert!(exchange.messages().contains(&"status 11 "), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_response_is_read_only_and_has_trailers_and_a_body_of_chunks(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).chunks(["a", "b"]).trailer("x-t", "1").trailer("x-t", "2"));
    host.configure("").unwrap();
    let answer = "pairs 6; pairs 7; get 7 x-t; get 7 x-none; size 6; size 7; add 6 a b; set 4 0 0 x; buffer 4; length 4; \
                  stream; get 6 :status; continue 0; get 0 :path; get 7 x-t";
    let exchange = host.get("/").header("x-request-headers", ASK).header("x-answer", answer).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(exchange.messages().contains(&"buffer: 2 bytes: ab"), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn responses_arrive_in_the_order_of_their_times(mut host: Host) {
    let slow = |call: &proxy_filter_host::Received| match call.header(":path") {
        Some(path) if path == "/first" => Reply::new(201).after(ms(100)),
        Some(path) if path == "/second" => Reply::new(202).after(ms(250)),
        _ => Reply::new(203).after(ms(400)),
    };
    host.cluster("authz", slow);
    host.configure("").unwrap();
    let script = "call authz /third 1000; call authz /first 1000; call authz /second 1000; return 1";
    let answer = "get 6 :status";
    let exchange =
        host.get("/").header("x-request-headers", script).header("x-answer", answer).disconnect_after(ms(700)).send();
    assert_eq!(exchange.messages(), [201, 202, 203].map(|status| format!(":status: 3 bytes: {status}")), "{exchange}");
    assert_eq!(exchange.calls("authz").len(), 3);
}

#[proxy_filter_host::test(guest = "script")]
fn a_local_reply_of_a_completion_runs_through_the_response_callbacks(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(403));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-request-headers", ASK)
        .header("x-answer", "stream; reply 418 teapot")
        .header("x-response-headers", "add 2 x-seen 1; get 0 :path")
        .send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (418, "teapot"), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "script")]
fn a_completion_may_close_the_stream(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(403));
    host.configure("").unwrap();
    let exchange =
        host.get("/").header("x-request-headers", ASK).header("x-answer", "stream; close 0; get 0 :path").send();
    assert_eq!(exchange.status(), 0, "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_response_after_the_end_of_its_stream_causes_a_callback(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(800)));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-request-headers", ASK)
        .header("x-answer", "stream; continue 0; get 0 :path; get 6 :status")
        .disconnect_after(ms(100))
        .send();
    assert_eq!((exchange.status(), exchange.messages().len()), (0, 0), "{exchange}");
    let later = host.advance(ms(1200));
    assert_eq!(later.messages().len(), 2, "{later}");
}

#[proxy_filter_host::test(guest = "script")]
fn the_response_of_a_call_in_on_log_reaches_the_root_context(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(600)));
    host.configure("").unwrap();
    let exchange =
        host.get("/").header("x-log", "call authz /log 1000").header("x-answer", "context 2; get 6 :status").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let later = host.advance(ms(1000));
    assert_eq!(later.messages(), [":status: 3 bytes: 200"], "{later}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_body_received_during_a_pause_of_the_headers_is_one_chunk(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(400)));
    host.cluster("fast", |_call| Reply::new(200));
    host.configure("").unwrap();
    let body = |script: &str, host: &mut Host| {
        let request = host.post("/").header("x-request-headers", script).header("x-answer", "stream; continue 0");
        let exchange = request.chunks(["one", "two", "three"]).trailer("x-t", "1").send();
        assert_eq!(exchange.upstream().unwrap().text(), "onetwothree", "{exchange}");
        let bodies = exchange.callbacks().iter().filter(|name| **name == "proxy_on_request_body").count();
        (bodies, exchange)
    };
    assert_eq!(body("call authz / 0; return 1", &mut host).0, 1);
    assert_eq!(body("call fast / 0; return 1", &mut host).0, 3);
    let exchange = host
        .post("/")
        .header("x-request-headers", "call authz / 0; return 1")
        .header("x-answer", "stream; continue 0")
        .body("sized")
        .send();
    assert_eq!(exchange.upstream().unwrap().text(), "sized", "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_buffered_request_body_is_available_in_a_completion(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(100)));
    host.configure("").unwrap();
    let exchange = host
        .post("/")
        .header("x-request-body", "call authz /body 0; return 1")
        .header("x-answer", "stream; buffer 0; set 0 0 4 BODY; buffer 0; continue 0; buffer 0; get 0 :path")
        .chunks(["bo", "dy"])
        .send();
    assert_eq!(exchange.upstream().unwrap().text(), "BODY", "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn request_trailers_are_paused_until_a_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(100)));
    host.configure("").unwrap();
    let exchange = host
        .post("/")
        .header("x-request-trailers", "call authz /trailers 0; return 1")
        .header("x-answer", "stream; get 1 x-t; add 1 x-more 1; continue 0")
        .chunks(["body"])
        .trailer("x-t", "1")
        .send();
    assert_eq!(exchange.upstream().unwrap().trailer("x-more"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn response_headers_are_paused_until_a_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(200)));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-response-headers", "call authz /response 0; return 1")
        .header("x-answer", "stream; add 2 x-checked 1; continue 1; get 2 x-checked")
        .header("x-response-body", "get 2 x-checked; buffer 1; return 0")
        .send();
    assert_eq!(exchange.response().header("x-checked"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_buffered_response_body_is_available_in_a_completion(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(100)));
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).chunks(["bo", "dy"]));
    let exchange = host
        .get("/")
        .header("x-response-body", "call authz /body 0; return 1")
        .header("x-answer", "stream; buffer 1; set 1 0 4 BODY; continue 1")
        .send();
    assert_eq!(exchange.response().text(), "BODY", "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn response_trailers_are_paused_until_a_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(100)));
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    let exchange = host
        .get("/")
        .header("x-response-trailers", "call authz /trailers 0; return 1")
        .header("x-answer", "stream; get 3 x-t; add 3 x-more 1; continue 1")
        .send();
    assert_eq!(exchange.response().trailer("x-more"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_local_reply_during_paused_response_headers_replaces_the_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(403).after(ms(200)));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-response-headers", "call authz /response 0; return 1")
        .header("x-answer", "stream; reply 418 teapot")
        .send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (418, "teapot"), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_local_reply_during_a_buffered_response_body_resets_the_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(403).after(ms(200)));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-response-body", "call authz /response 0; return 1")
        .header("x-answer", "stream; reply 418 teapot")
        .send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(!exchange.response().complete);
}

#[proxy_filter_host::test(guest = "script")]
fn a_response_without_a_paused_stream_arrives_before_a_later_upstream_response(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(403));
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).after(ms(200)));
    let mut send = |answer: &str| {
        host.get("/").header("x-request-headers", "call authz /aside 0").header("x-answer", answer).send()
    };
    let exchange = send("stream; get 0 :path; get 6 :status");
    assert_eq!(exchange.status(), 200, "{exchange}");
    let exchange = send("stream; reply 418 teapot");
    assert_eq!(exchange.status(), 418, "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_that_is_never_resumed_ends_when_the_client_disconnects(mut host: Host) {
    host.configure("").unwrap();
    let properties = "property response.flags; property response.code; property response.code_details; property response.grpc_status; property request.path; \
                      get 0 :path; get 2 :status";
    let exchange = host
        .get("/")
        .header("x-request-headers", "return 1")
        .header("x-log", properties)
        .disconnect_after(ms(100))
        .send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    let exchange = host.post("/").header("x-request-body", "return 1").body("body").disconnect_after(ms(100)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    let exchange =
        host.post("/").header("x-request-body", "return 1").chunks(["body"]).disconnect_after(ms(100)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    host.upstream(|_request| Reply::new(200).after(ms(400)));
    let exchange = host.post("/").header("x-log", properties).body("body").disconnect_after(ms(100)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    host.upstream(|_request| Reply::new(200).body("body"));
    let exchange = host
        .get("/")
        .header("x-response-headers", "return 1")
        .header("x-log", properties)
        .disconnect_after(ms(100))
        .send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    let exchange = host
        .get("/")
        .header("x-response-body", "return 1")
        .header("x-log", properties)
        .disconnect_after(ms(200))
        .send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(!exchange.response().complete);
}

#[proxy_filter_host::test(guest = "script")]
fn a_truncated_response_of_the_upstream_resets_the_client(mut host: Host) {
    host.configure("").unwrap();
    host.upstream(|_request| Reply::new(200).body("half").cut_off());
    let exchange = host.get("/").send();
    assert_eq!((exchange.response().text().as_str(), exchange.response().complete), ("half", false), "{exchange}");
    host.upstream(|_request| Reply::new(200).chunks(["ha", "lf"]).cut_off());
    let exchange = host.get("/").send();
    assert_eq!((exchange.response().text().as_str(), exchange.response().complete), ("half", false), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn large_bodies_are_sent_in_both_directions(mut host: Host) {
    host.cluster("mirror", |call| Reply::new(200).body(call.body.clone()));
    host.configure("").unwrap();
    let exchange = host
        .get("/")
        .header("x-request-headers", "large mirror 10485760; return 1")
        .header("x-answer", "get 6 content-length; length 4; stream; continue 0")
        .send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.calls("mirror")[0].body.len(), 10_485_760);
}

#[proxy_filter_host::test(guest = "script")]
fn a_root_context_makes_calls_from_its_own_callbacks(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(100)));
    host.configure("configure: tick 200\ntick: tick 0; call authz /tick 0\nanswer: get 6 :status").unwrap();
    let passed = host.advance(ms(900));
    assert_eq!(passed.messages(), [":status: 3 bytes: 200"], "{passed}");
}

#[proxy_filter_host::test(guest = "script")]
fn ticks_run_while_a_stream_is_paused(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(500)));
    host.configure("tick: log tick").unwrap();
    let exchange = host
        .get("/")
        .header("x-request-headers", "tick 200; call authz / 0; return 1")
        .header("x-answer", "tick 0; stream; continue 0")
        .send();
    assert_eq!(exchange.messages(), ["tick", "tick"], "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_response_between_two_chunks_resumes_paused_headers(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(75)));
    host.allow_on_headers_stop_iteration(true);
    host.configure("").unwrap();
    let exchange = host
        .post("/")
        .header("x-request-headers", "call authz / 0; return 1")
        .header("x-request-body", "buffer 0; get 0 :path")
        .header(
            "x-answer",
            "stream; get 0 :path; add 0 x-added 1; buffer 0; set 0 0 3 ONE; continue 0; get 0 :path; buffer 0",
        )
        .chunks(["one", "two"])
        .send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.header("x-added")), ("ONEtwo", Some("1".into())), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn trailers_can_be_added_while_the_end_of_a_body_is_paused(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(75)));
    host.configure("").unwrap();
    let exchange = host
        .post("/")
        .header("x-request-body", "call authz / 0; return 1")
        .header("x-answer", "stream; get 1 x-more; add 1 x-more 1; get 1 x-more; continue 0")
        .chunks(["one", "two"])
        .send();
    assert_eq!(exchange.upstream().unwrap().trailer("x-more"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "script")]
fn a_completion_may_end_a_stream_in_the_middle_of_a_message(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(75)));
    host.configure("").unwrap();
    for act in ["reply 418 teapot", "close 0"] {
        let exchange = host
            .post("/")
            .header("x-request-headers", "call authz / 0")
            .header("x-answer", format!("stream; {act}"))
            .chunks(["one", "two", "three"])
            .send();
        assert_eq!(exchange.status(), if act == "close 0" { 0 } else { 418 }, "{exchange}");
        host.upstream(|_request| Reply::new(200).chunks(["one", "two", "three"]));
        let exchange = host
            .get("/")
            .header("x-response-headers", "call authz / 0")
            .header("x-answer", format!("stream; {act}"))
            .send();
        assert_eq!((exchange.status(), exchange.response().complete), (200, false), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "script")]
fn a_stream_stays_paused_after_a_trap_in_a_completion(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200).after(ms(75)));
    host.configure("").unwrap();
    let exchange =
        host.get("/").header("x-request-headers", ASK).header("x-answer", "trap").disconnect_after(ms(300)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    assert!(!exchange.callbacks().contains(&"proxy_on_delete"));
    exchange.expect_error("the VM trapped in proxy_on_http_call_response");
}

#[proxy_filter_host::test(guest = "script")]
fn a_completion_can_switch_to_existing_contexts_until_it_returns(mut host: Host) {
    host.cluster("authz", |_call| Reply::new(200));
    host.configure("").unwrap();
    let answer = "context 99; context 0; get 0 :path; context 1; get 0 :path; stream; get 0 :path; property request.path; \
                  context 0; get 0 :path; property request.path; stream; continue 0";
    host.upstream(|_request| Reply::new(200).after(ms(100)));
    let exchange = host.get("/").header("x-request-headers", ASK).header("x-answer", answer).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}
