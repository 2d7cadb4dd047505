//! HTTP calls of a filter, and the messages that are paused for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Received, Reply, build_guest};
use std::path::Path;
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a host whose cluster `service` responds with this function.
fn serve(host: &mut Host, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
    host.cluster("service", answer);
    host.cluster_without_hosts("empty");
    host.cluster_refusing_connections("down");
    host.configure("").unwrap();
}

/// Returns the header in which the filter reported the response.
fn answer(exchange: &Outcome) -> String {
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("nothing reached the upstream: {exchange}"));
    upstream.header("x-answer").unwrap_or_default().to_string()
}

fn path(call: &Received) -> String {
    call.header(":path").unwrap_or_default().to_string()
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_response_has_its_headers_body_and_trailers(mut host: Host) {
    serve(&mut host, |_call| {
        let reply = Reply::new(200).header("set-cookie", "a").header("set-cookie", "b");
        reply.chunks(["yes", ", you may"]).trailer("x-trailer", "end")
    });
    let exchange = host.get("/request/1").send();
    assert_eq!(answer(&exchange), "200 12 [yes, you may] cookies 2 trailer end", "{exchange}");
    let calls = exchange.calls("service");
    assert_eq!((calls.len(), path(&calls[0])), (1, "/request/1".to_owned()));
    assert_eq!(calls[0].header("x-from"), Some("filter".into()));
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_body_that_is_buffered_after_paused_headers_is_forwarded_with_its_trailers(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).after(ms(300)));
    for http2 in [false, true] {
        let request = host.post("/resumed").chunks(["one", "two"]).trailer("x-t", "1");
        let exchange = if http2 { request.http2() } else { request }.send();
        let upstream = exchange.upstream().unwrap();
        assert_eq!((upstream.text(), upstream.trailer("x-t")), ("ONETWO".into(), Some("1".into())), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_response_may_be_empty_or_a_refusal(mut host: Host) {
    serve(&mut host, |call| Reply::new(path(call).trim_start_matches("/request/").parse().unwrap_or(500)));
    for status in [200, 204, 403, 500, 503, 504] {
        let exchange = host.get(&format!("/request/{status}")).send();
        assert_eq!(answer(&exchange), format!("{status} 0 [] cookies 0 trailer none"), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "callouts")]
fn the_error_of_a_service_without_a_response_has_the_reason(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/request/slow" => Reply::new(200).after(ms(700)),
        "/request/reset" => Reply::reset(),
        _ => Reply::new(200).body("half of it").cut_off(),
    });
    for (path, why) in [
        ("/request/slow", "no answer: the call failed: no response in time"),
        ("/request/reset", "no answer: upstream connect error or disconnect/reset before headers"),
        ("/request/cut", "no answer: the call failed: the response was cut off"),
        ("/down", "remote connection failure"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert!(answer(&exchange).starts_with("no answer: ") && answer(&exchange).contains(why), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "callouts")]
fn only_an_unavailable_service_is_an_outage(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/slow" => Reply::new(200).after(ms(700)),
        "/reset" => Reply::reset(),
        "/cut" => Reply::new(200).body("half of it").cut_off(),
        path => Reply::new(path.trim_start_matches('/').parse().unwrap_or(418)),
    });
    for path in ["service/slow", "service/reset", "service/cut", "nowhere/", "empty/", "down/"] {
        let exchange = host.get(&format!("/verdict/{path}")).send();
        assert!(answer(&exchange).starts_with("outage: "), "{path}: {exchange}");
    }
    for (path, kind) in [("service/large", "TooLarge"), ("service/odd", "InvalidInput")] {
        let exchange = host.get(&format!("/verdict/{path}")).send();
        assert_eq!(answer(&exchange), format!("refused: {kind}"), "{exchange}");
    }
    for status in [200, 204, 302, 400, 401, 403, 404, 408, 413, 414, 429, 431, 499, 500, 501, 502, 503, 504, 599] {
        let exchange = host.get(&format!("/verdict/service/{status}")).send();
        let expected = match status {
            500.. => format!("outage: the call failed: the service responded with {status}"),
            _ => format!("response {status}"),
        };
        assert_eq!(answer(&exchange), expected, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_call_that_cannot_be_made_completes_at_once_with_the_reason(mut host: Host) {
    serve(&mut host, |_call| Reply::new(200));
    for (path, why) in [("/unknown", "no such cluster"), ("/empty", "no healthy upstream"), ("/misbuilt", "header")] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert!(answer(&exchange).starts_with("no answer: ") && answer(&exchange).contains(why), "{exchange}");
        assert!(!exchange.callbacks().contains(&"proxy_on_http_call_response"), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "callouts")]
fn several_calls_complete_in_any_order(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/a" => Reply::new(201).after(ms(300)),
        "/b" => Reply::new(202).after(ms(100)),
        _ => Reply::new(203).after(ms(200)),
    });
    let exchange = host.get("/several").send();
    let answers = exchange.upstream().unwrap().header("x-answers").unwrap().to_string();
    let statuses: Vec<_> = answers.split("; ").map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["202", "203", "201"], "{exchange}");
    assert_eq!(exchange.calls("service").iter().map(path).collect::<Vec<_>>(), ["/a", "/b", "/c"]);
}

#[proxy_filter_host::test(guest = "callouts")]
fn the_first_completion_resumes_the_stream_and_the_second_is_cancelled(mut host: Host) {
    serve(&mut host, |call| match path(call).as_str() {
        "/a" => Reply::new(201).after(ms(250)),
        _ => Reply::new(202).after(ms(100)),
    });
    host.upstream(|_request| Reply::new(200).after(ms(300)));
    let exchange = host.get("/race").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(exchange.upstream().unwrap().header("x-won").unwrap().to_string().starts_with("202"), "{exchange}");
    let answers = exchange.callbacks().iter().filter(|name| **name == "proxy_on_http_call_response").count();
    assert_eq!(answers, 2, "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_completion_can_make_the_next_call(mut host: Host) {
    serve(&mut host, |call| Reply::new(200).body(path(call)));
    let exchange = host.get("/chain").send();
    let answers = exchange.upstream().unwrap().header("x-answers").unwrap().to_string();
    assert!(answers.contains("[/first]") && answers.contains("[/second]"), "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_completion_can_send_a_local_reply(mut host: Host) {
    serve(&mut host, |_call| Reply::new(403).body("no"));
    let exchange = host.get("/denied").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "denied\n"), "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_failing_completion_affects_its_stream_only(mut host: Host) {
    serve(&mut host, |_call| Reply::new(200));
    let exchange = host.get("/failing").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("the completion failed; the client gets a 500");
    let exchange = host.get("/request/after").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_call_can_pause_each_part_of_a_message(mut host: Host) {
    serve(&mut host, |call| Reply::new(200).body(call.text().to_uppercase()).after(ms(150)));
    let exchange = host.post("/body").chunks(["a bo", "dy"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "A BODY", "{exchange}");
    let exchange = host.post("/trailers").chunks(["body"]).trailer("x-t", "1").send();
    assert!(exchange.upstream().unwrap().trailer("x-answer").is_some(), "{exchange}");
    let exchange = host.get("/response").send();
    assert!(exchange.response().header("x-answer").is_some(), "{exchange}");
    let exchange = host.get("/response-body").send();
    assert_eq!(exchange.response().text(), ".".repeat(24), "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_response_may_be_large(mut host: Host) {
    serve(&mut host, |_call| Reply::new(200).body(vec![b'x'; 10 * 1024 * 1024]));
    let exchange = host.get("/request/large").send();
    assert!(answer(&exchange).starts_with("200 10485760 [xxxx"), "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_posted_body_may_be_large(mut host: Host) {
    serve(&mut host, |call| Reply::new(200).body(call.body.len().to_string()));
    let exchange = host.get("/upload").send();
    assert_eq!(answer(&exchange), "200 8 [10485760] cookies 0 trailer none", "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_client_disconnect_drops_the_completions_of_its_stream(mut host: Host) {
    serve(&mut host, |_call| Reply::new(200).after(ms(2000)));
    let exchange = host.get("/request/late").disconnect_after(ms(50)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    assert!(exchange.upstream().is_none());
    assert_eq!(exchange.callbacks().last(), Some(&"proxy_on_delete"), "{exchange}");
    let later = host.advance(ms(500));
    assert_eq!(later.callbacks(), ["proxy_on_http_call_response"], "{later}");
    assert!(later.messages().is_empty(), "{later}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_call_that_pauses_no_stream_completes(mut host: Host) {
    serve(&mut host, |_call| Reply::new(200).body("aside"));
    host.upstream(|_request| Reply::new(200).after(ms(200)));
    let exchange = host.get("/aside").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.messages(), ["aside: 200 5 [aside] cookies 0 trailer none"], "{exchange}");
}

#[proxy_filter_host::test(guest = "callouts")]
fn a_root_context_makes_a_call_in_on_configure(mut host: Host) {
    host.cluster("service", |call| Reply::new(200).body(path(call)).after(ms(1500)));
    host.configure("service").unwrap();
    let later = host.advance(ms(2500));
    assert_eq!(later.messages(), ["the root got 200: /from-the-root"], "{later}");
}

/// Makes calls whose clients disconnect before the response. Returns the module's pages of memory
/// before and after them.
fn abort(calls: usize) -> (u64, u64) {
    let path = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("callouts")).unwrap();
    let mut host = Host::for_module(&std::fs::read(path).unwrap());
    serve(&mut host, |_call| Reply::new(200).body("too late").after(ms(100)));
    let leave = |host: &mut Host, count: usize| {
        for number in 1..=count {
            let exchange = host.get("/request/late").disconnect_after(ms(10)).send();
            assert_eq!(exchange.status(), 0, "{exchange}");
            // Some responses arrive while other calls are in flight.
            if number % 7 == 0 {
                let _ = host.advance(ms(100));
            }
        }
        let _ = host.advance(ms(200));
    };
    let pages = |host: &mut Host| host.get("/memory").send().messages().concat().parse().unwrap();
    leave(&mut host, 1000);
    let before = pages(&mut host);
    leave(&mut host, calls);
    (before, pages(&mut host))
}

/// Two thousand calls, or the number in the environment variable `ABORTED_CALLS`. With `cargo test
/// --profile bench`, a million take a few minutes.
#[test]
fn aborted_calls_leak_no_memory_of_the_module() {
    let calls = std::env::var("ABORTED_CALLS").map_or(2000, |calls| calls.parse().unwrap());
    let (before, after) = abort(calls);
    assert_eq!(before, after, "pages of 64 KiB");
}
