//! Filters that are one async function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Received, Reply};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn serve(host: &mut Host, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) {
    host.cluster("service", move |call: &Received| answer(&call.header(":path").unwrap_or_default().to_string()));
    host.configure(r#"{ "name": "me" }"#).unwrap();
}

fn answer(exchange: &Outcome) -> String {
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("nothing reached the upstream: {exchange}"));
    upstream.header("x-answer").unwrap_or_default().to_string()
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_variable_of_the_request_is_available_in_the_response(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    for served in ["1", "2"] {
        let exchange = host.get("/header").send();
        assert_eq!(exchange.upstream().unwrap().header("x-name"), Some("me".into()), "{exchange}");
        assert_eq!(exchange.response().header("x-served"), Some(served.into()), "{exchange}");
        assert_eq!(exchange.messages(), ["dropped: the function"]);
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_request_is_paused_until_a_call_completes_and_then_forwarded(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).body("alice"));
    let exchange = host.get("/auth").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()), "{exchange}");
    assert_eq!(exchange.response().header("x-checked"), Some("1".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_message_that_arrives_while_its_headers_are_paused_is_forwarded_whole(mut host: Host) {
    // The whole message is here when the call completes.
    serve(&mut host, |_| Reply::new(200).after(ms(300)));
    for (http2, trails) in [(false, false), (false, true), (true, false), (true, true)] {
        host.upstream(move |_| {
            let reply = Reply::new(200).chunks(["three", "four"]);
            if trails { reply.trailer("x-t", "2") } else { reply }
        });
        let mut send = |path: &str| {
            let request = host.post(path).chunks(["one", "two"]);
            let request = if trails { request.trailer("x-t", "1") } else { request };
            if http2 { request.http2() } else { request }.send()
        };
        let exchange = send("/resumed/request");
        let upstream = exchange.upstream().unwrap();
        let trailer = |value: &str| trails.then(|| value.into());
        assert_eq!((upstream.text(), upstream.trailer("x-t")), ("ONETWO".into(), trailer("1")), "{exchange}");
        let exchange = send("/resumed/response");
        let response = exchange.response();
        assert_eq!((response.text(), response.trailer("x-t")), ("THREEFOUR".into(), trailer("2")), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_reply_ends_the_function_and_the_stream(mut host: Host) {
    serve(&mut host, |_| Reply::new(403).body("no"));
    let exchange = host.get("/auth").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "denied\n"), "{exchange}");
    assert_eq!(exchange.response().header("x-why"), Some("403 no".into()));
    assert_eq!(exchange.response().header("x-checked"), None, "the function is over");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "exchanges")]
fn the_await_of_a_call_returns_every_outcome(mut host: Host) {
    host.cluster_without_hosts("empty");
    host.cluster_refusing_connections("down");
    serve(&mut host, |path| match path {
        "/slow" => Reply::new(200).after(ms(800)),
        "/reset" => Reply::reset(),
        "/cut" => Reply::new(200).body("half of it").cut_off(),
        "/large" => Reply::new(200).body(vec![b'x'; 10 * 1024 * 1024]),
        "/none" => Reply::new(204),
        _ => Reply::new(503).body("our own"),
    });
    for (path, expected) in [
        ("/ask/service/slow", "no answer: the call failed: no response in time"),
        ("/ask/service/reset", "no answer: upstream connect error or disconnect/reset before headers"),
        ("/ask/service/cut", "no answer: the call failed: the response was cut off"),
        ("/ask/service/large", "200 with 10485760 bytes"),
        ("/ask/service/none", "204 with 0 bytes"),
        ("/ask/service/busy", "503 with 7 bytes"),
        ("/ask/nowhere/", "no answer: the call failed: the host has no such cluster"),
        ("/ask/empty/", "no answer: the call failed: no healthy upstream"),
        ("/ask/down/", "no answer: upstream connect error"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert!(answer(&exchange).starts_with(expected), "{path}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn two_calls_are_awaited_together(mut host: Host) {
    serve(
        &mut host,
        |path| if path == "/a" { Reply::new(200).body("a").after(ms(60)) } else { Reply::new(201).body("b") },
    );
    let exchange = host.get("/two").send();
    assert_eq!(answer(&exchange), "200 a; 201 b", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn two_hundred_calls_are_awaited_together(mut host: Host) {
    host.log_level(proxy_filter::log::LogLevel::Info);
    // The responses arrive in another order than the calls.
    serve(&mut host, |path| {
        let number: u64 = path.trim_start_matches('/').parse().unwrap_or_default();
        Reply::new(200).body(path).after(ms(number * 37 % 20 * 10))
    });
    let exchange = host.get("/many").send();
    assert_eq!(answer(&exchange), "200", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_call_that_exceeds_its_time_limit_is_cancelled(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).body("late").after(ms(300)));
    host.upstream(|_| Reply::new(200).after(ms(600)));
    let exchange = host.get("/timeout").send();
    assert_eq!(answer(&exchange), "too slow", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_call_within_its_time_limit_completes(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).body("quick"));
    let exchange = host.get("/timeout").send();
    assert_eq!(answer(&exchange), "200 quick", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_timer_pauses_request_and_response(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/sleep").send();
    assert_eq!(answer(&exchange), "slept", "{exchange}");
    assert_eq!(exchange.response().header("x-answer"), Some("slept again".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn whole_bodies_are_awaited_and_replaced(mut host: Host) {
    host.cluster("service", |call: &Received| Reply::new(200).body(call.text().to_ascii_uppercase()));
    host.configure("{}").unwrap();
    host.upstream(|_| Reply::new(200).body("this"));
    let exchange = host.post("/body").chunks(["quiet", " words"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "QUIET WORDS", "{exchange}");
    assert_eq!(exchange.response().text(), "this and more", "{exchange}");
    let exchange = host.post("/body").body("x".repeat(101)).send();
    assert_eq!(exchange.status(), 413, "above the limit: {exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn bodies_are_forwarded_chunk_by_chunk(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    host.upstream(|_| Reply::new(200).chunks(["one", "two"]));
    let exchange = host.post("/chunks").chunks(["ab", "cd"]).trailer("x-end", "here").send();
    assert_eq!(exchange.upstream().unwrap().text(), "ABCD", "{exchange}");
    assert_eq!(exchange.response().header("x-pieces"), Some("2 4 here".into()), "{exchange}");
    assert_eq!(exchange.response().text(), "onetwo", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn trailers_are_awaited_and_edited(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    let exchange = host.post("/trailers").chunks(["data"]).trailer("x-a", "1").send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!((upstream.trailer("x-a"), upstream.trailer("x-request")), (Some("1".into()), Some("seen".into())));
    assert_eq!(exchange.response().trailer("x-t"), Some("changed".into()), "{exchange}");
    host.upstream(|_| Reply::new(200));
    let exchange = host.get("/trailers").send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["dropped: the function"]), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn each_chunk_is_read_once_at_any_speed(mut host: Host) {
    // The chunks that arrive together depend on time.
    host.log_level(proxy_filter::log::LogLevel::Info);
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.post("/slowly").chunks(["ab", "cd", "ef", "gh"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "abcdefgh", "{exchange}");
    assert_eq!(exchange.messages(), ["seen: abcdefgh", "dropped: the function"], "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn data_can_be_appended_after_the_last_chunk(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    for (reply, expected) in
        [(Reply::new(200).chunks(["one", "two"]), "one,two,end"), (Reply::new(200).body("all"), "all,end")]
    {
        host.upstream(move |_| reply.clone());
        let exchange = host.get("/end").send();
        assert_eq!(exchange.response().text(), expected, "{exchange}");
        assert!(exchange.response().complete);
        assert!(
            exchange.messages().iter().any(|line| line.starts_with("early: there may be more")),
            "not before: {exchange}"
        );
    }
    host.upstream(|_| Reply::new(200).chunks(["one"]).trailer("x-t", "1"));
    let exchange = host.get("/end").send();
    assert!(!exchange.response().complete, "trailers have ended it: {exchange}");
    exchange.expect_error("the body was forwarded before its trailers arrived; the stream is reset");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_request_without_a_body_has_no_chunks(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/chunks").send();
    assert_eq!(exchange.response().header("x-pieces"), Some("0 0 none".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn an_error_refuses_the_stream(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/fail").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("this is how it fails; the client gets a 500");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn the_end_of_the_stream_can_be_awaited(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    host.upstream(|_| Reply::new(207));
    let exchange = host.get("/finished").send();
    assert_eq!(exchange.messages(), ["finished with 207", "dropped: the function"], "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_forwarded_part_cannot_be_awaited(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/late").send();
    assert!(
        exchange.messages().iter().any(|line| line.contains("late: this part of the stream was forwarded already")),
        "{exchange}"
    );
    assert_eq!(exchange.status(), 200);
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_body_that_was_forwarded_is_refused_and_not_empty(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    for path in ["/late-body", "/late-chunk", "/late-trailers", "/late-end"] {
        for exchange in [host.post(path).body("abcdefgh").send(), host.post(path).chunks(["ab", "cd"]).send()] {
            assert_eq!(exchange.status(), 200, "{exchange}");
            let [refused, _] = exchange.messages()[..] else { panic!("{exchange}") };
            assert_eq!(refused, "refused: WrongPhase", "{path}: {exchange}");
        }
        // The same without a body: a filter cannot know the rest of the message.
        let exchange = host.get(path).send();
        assert_eq!(exchange.messages(), ["refused: WrongPhase", "dropped: the function"], "{path}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_whole_body_is_refused_after_a_part_of_it_was_forwarded(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.post("/partly").chunks(["ab", "cd", "ef"]).send();
    assert_eq!(exchange.messages(), ["refused: WrongPhase", "dropped: the function"], "{exchange}");
    assert_eq!(exchange.upstream().unwrap().text(), "abcdef", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn headers_are_available_again_after_a_call_with_and_without_a_body(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).body("alice"));
    let requests = [
        host.get("/again").send(),
        host.request("HEAD", "/again").send(),
        host.post("/again").body("abc").send(),
        host.post("/again").chunks(["ab", "c"]).trailer("x-t", "1").send(),
    ];
    for exchange in requests {
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()), "{exchange}");
        assert_eq!(exchange.response().header("x-user"), Some("alice".into()), "{exchange}");
    }
    for status in [204, 304] {
        host.upstream(move |_| Reply::new(status));
        let exchange = host.get("/again").send();
        assert_eq!(exchange.response().header("x-user"), Some("alice".into()), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_response_that_begins_before_the_request_has_ended_is_forwarded_unchanged(mut host: Host) {
    host.log_level(proxy_filter::log::LogLevel::Info);
    serve(&mut host, |_| Reply::new(200));
    for path in ["/early-body", "/early-chunks", "/early-stream", "/early-trailers"] {
        host.upstream(|_| Reply::new(401).body("who are you?\n"));
        let exchange = host.post(path).body("never sent").early_response().send();
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (401, "who are you?\n"), "{exchange}");
        assert_eq!(exchange.messages(), ["dropped: the function"], "no failure: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_request_above_the_buffer_limit_gets_the_413_of_the_host(mut host: Host) {
    host.log_level(proxy_filter::log::LogLevel::Info);
    host.buffer_limit(1000);
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.post("/early-body").chunks(vec!["x".repeat(1500); 3]).send();
    assert_eq!(exchange.status(), 413, "{exchange}");
    assert_eq!(exchange.messages(), ["dropped: the function"], "no failure: {exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_client_disconnect_drops_the_function(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).after(ms(300)));
    let exchange = host.get("/wait").disconnect_after(ms(60)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    assert_eq!(exchange.messages(), ["dropped: the wait", "dropped: the function"], "{exchange}");
    let later = host.advance(ms(500));
    assert!(later.messages().is_empty(), "nothing is delivered to it: {later}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_response_is_paused_until_a_call_completes(mut host: Host) {
    serve(&mut host, |_| Reply::new(200).body("yes"));
    let exchange = host.get("/response").send();
    assert_eq!(exchange.response().header("x-answer"), Some("200 yes".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_response_can_be_replaced(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/replaced").send();
    assert_eq!((exchange.status(), exchange.response().text().as_str()), (418, "short and stout\n"), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_request_that_is_refused_before_the_filters_has_a_function_that_never_runs(mut host: Host) {
    serve(&mut host, |_| Reply::new(200));
    let exchange = host.get("/header").without_authority().send();
    assert_eq!(exchange.status(), 400, "{exchange}");
    assert!(exchange.messages().is_empty(), "{exchange}");
}

#[proxy_filter_host::test(guest = "woken")]
fn a_dropped_function_wakes_the_future_that_awaits_it(mut host: Host) {
    // The hosts differ in whether a tick comes before the end of the exchange. With workers, this
    // is not compared.
    host.workers(1);
    host.cluster("service", |_: &Received| Reply::new(200).after(ms(300)));
    host.configure("{}").unwrap();
    host.advance(ms(20));
    let exchange = host.get("/").disconnect_after(ms(60)).send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    let later = host.advance(ms(100));
    let messages: Vec<_> = exchange.messages_of_all().into_iter().chain(later.messages_of_all()).collect();
    assert_eq!(messages, ["streams that are over: 1"], "{exchange}{later}");
}

#[proxy_filter_host::test(guest = "woken")]
fn a_function_that_returned_wakes_the_future_that_awaits_it(mut host: Host) {
    host.cluster("service", |_: &Received| Reply::new(200));
    host.configure("{}").unwrap();
    host.advance(ms(20));
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.messages(), ["streams that are over: 1"], "{exchange}");
}
