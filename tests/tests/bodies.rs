//! Edits of bodies and trailers, as the client and the upstream see them: the same in the embedded
//! host and in Envoy.

use proxy_filter_host::{Host, Reply};

#[proxy_filter_host::test(guest = "by_path")]
fn a_request_body_is_buffered_replaced_prepended_and_appended(mut host: Host) {
    let exchange = host.post("/request-body").body("hello").send();
    assert_eq!(exchange.upstream().unwrap().text(), "<HELLO>", "{exchange}");
    let exchange = host.post("/request-body").chunks(["he", "l", "lo"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "<HELLO>", "{exchange}");
    assert!(exchange.messages().contains(&"7 HEL"), "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_request_body_over_http2_is_the_same(mut host: Host) {
    let exchange = host.post("/request-body").chunks(["he", "l", "lo"]).http2().send();
    assert_eq!(exchange.upstream().unwrap().text(), "<HELLO>", "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn chunks_are_edited_before_they_are_forwarded(mut host: Host) {
    let exchange = host.post("/request-append").chunks(["a", "b"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "a+b+", "{exchange}");
    host.upstream(|_| Reply::new(200).chunks(["a", "b"]));
    let exchange = host.get("/response-chunks").send();
    assert_eq!(exchange.response().text(), "[a][b]", "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_body_buffered_up_to_a_watermark_is_forwarded_at_its_end(mut host: Host) {
    let exchange = host.post("/request-watermark").chunks(["a", "b"]).send();
    assert_eq!(exchange.upstream().unwrap().text(), "ab", "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_edit_that_would_make_content_length_wrong_is_an_error(mut host: Host) {
    let exchange = host.post("/request-length").body("abc").send();
    assert!(exchange.messages().contains(&"Err(ContentLength)"), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().text(), "ABC", "an edit of the same length is none");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_request_body_beyond_the_limit_is_a_413(mut host: Host) {
    host.buffer_limit(1024);
    let exchange = host.post("/request-buffer").chunks(["x".repeat(700), "y".repeat(700)]).send();
    assert_eq!(exchange.status(), 413, "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_reply_from_the_request_body(mut host: Host) {
    let exchange = host.post("/request-body-reply").chunks(["a", "b"]).send();
    assert_eq!(exchange.status(), 413, "{exchange}");
    assert_eq!(exchange.response().text(), "too much\n");
}

#[proxy_filter_host::test(guest = "by_path")]
fn request_trailers_are_read_and_edited(mut host: Host) {
    for http2 in [false, true] {
        let request = host.post("/request-trailers").chunks(["a"]).trailer("x-checksum", "1").trailer("x-removed", "1");
        let exchange = if http2 { request.http2() } else { request }.send();
        let upstream = exchange.upstream().unwrap();
        assert_eq!(upstream.trailer("x-checksum"), Some("2".into()), "{exchange}");
        assert_eq!(upstream.trailer("x-added"), Some("1".into()));
        assert_eq!(upstream.trailer("x-removed"), None);
    }
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_buffered_request_that_ends_with_trailers_ends_once(mut host: Host) {
    let exchange = host.post("/request-body").chunks(["a", "b"]).trailer("x-t", "1").send();
    assert_eq!(exchange.upstream().unwrap().text(), "<AB>", "{exchange}");
    let ends =
        exchange.messages().iter().filter(|line| line.starts_with("request body") && line.ends_with("true")).count();
    assert_eq!(ends, 1, "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_reply_from_the_request_trailers(mut host: Host) {
    let exchange = host.post("/request-trailers-reply").chunks(["a"]).trailer("x-t", "1").send();
    assert_eq!(exchange.status(), 400, "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_request_without_a_body_ends_once(mut host: Host) {
    let exchange = host.get("/life").send();
    let ends = exchange.messages().iter().filter(|line| **line == "request body 0 true").count();
    assert_eq!(ends, 1, "{exchange}");
    assert!(!exchange.callbacks().contains(&"proxy_on_request_body"), "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_response_body_is_replaced(mut host: Host) {
    host.upstream(|_| Reply::new(200).body("four"));
    let exchange = host.get("/response-body").send();
    assert_eq!(exchange.response().text(), "4 bytes", "{exchange}");
    host.upstream(|_| Reply::new(200).chunks(["four", "more"]).trailer("x-t", "1"));
    let exchange = host.get("/response-body").http2().send();
    assert_eq!(exchange.response().text(), "8 bytes", "{exchange}");
    assert_eq!(exchange.response().trailer("x-seen"), Some("1".into()));
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_response_without_a_body_cannot_get_one(mut host: Host) {
    host.upstream(|_| Reply::new(204));
    let exchange = host.get("/response-body").send();
    assert!(exchange.messages().contains(&"Err(WrongPhase)"), "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn dropped_chunks_do_not_reach_the_client(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["a", "b"]));
    let exchange = host.get("/response-drop").send();
    assert_eq!(exchange.response().text(), "", "{exchange}");
    assert!(exchange.response().complete);
}

#[proxy_filter_host::test(guest = "by_path")]
fn paused_request_headers_are_forwarded_with_the_body(mut host: Host) {
    host.allow_on_headers_stop_iteration(true);
    let exchange = host.post("/hold").body("data").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().body, b"data");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_response_with_trailers(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["a"]).trailer("x-t", "1"));
    for http2 in [false, true] {
        let request = host.get("/trailers");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.response().trailer("x-t"), Some("1".into()), "{exchange}");
        assert_eq!(exchange.response().trailer("x-seen"), Some("1".into()));
        assert!(exchange.messages().contains(&"log Some(\"1\")"), "trailers can be read in on_log: {exchange}");
    }
}
