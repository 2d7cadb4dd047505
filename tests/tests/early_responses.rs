//! Responses that begin before the request has ended, while the request continues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Reply};

/// The upstream responds when it has the first of three chunks.
fn upload(host: &mut Host, path: &str) -> Outcome {
    host.upstream(|_| Reply::new(401).chunks(["not ", "you"]));
    let exchange = host.post(path).chunks(["ab", "cd", "ef"]).response_after_chunks(1).send();
    assert_eq!(exchange.status(), 401, "the response is that of the upstream: {exchange}");
    assert_eq!(exchange.response().text(), "not you", "{exchange}");
    assert!(exchange.response().complete, "{exchange}");
    assert!(!exchange.messages().contains(&"the end"), "{exchange}");
    exchange
}

/// Returns the part of the request that the upstream received, and whether it was complete.
fn received(exchange: &Outcome) -> (String, bool) {
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("nothing reached the upstream: {exchange}"));
    (upstream.text(), upstream.complete)
}

#[proxy_filter_host::test(guest = "exchanges")]
fn unread_data_is_not_forwarded_after_an_early_response(mut host: Host) {
    host.configure(r#"{ "name": "me" }"#).unwrap();
    for (path, expected) in [
        ("/early-chunks", "ab"),
        ("/early-stream", "ab"),
        ("/early-body", ""),
        // The function has forwarded the chunk before the response without reading it.
        ("/early-trailers", "ab"),
    ] {
        let exchange = upload(&mut host, path);
        assert_eq!(received(&exchange), (expected.to_owned(), false), "{path}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_function_that_awaits_an_early_response_drops_the_rest_of_the_request(mut host: Host) {
    host.configure(r#"{ "name": "me" }"#).unwrap();
    let exchange = upload(&mut host, "/early-match");
    assert_eq!(exchange.response().header("x-seen"), Some("2".into()), "{exchange}");
    assert_eq!(received(&exchange), ("ab".to_owned(), false), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_function_may_forward_the_rest_of_a_request_after_an_early_response(mut host: Host) {
    host.configure(r#"{ "name": "me" }"#).unwrap();
    let exchange = upload(&mut host, "/early-forward");
    assert_eq!(exchange.response().header("x-seen"), Some("2".into()), "{exchange}");
    assert_eq!(received(&exchange), ("abcdef".to_owned(), true), "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn a_request_that_no_function_reads_is_forwarded_after_an_early_response(mut host: Host) {
    host.configure(r#"{ "name": "me" }"#).unwrap();
    let exchange = upload(&mut host, "/nothing");
    assert_eq!(received(&exchange), ("abcdef".to_owned(), true), "{exchange}");
}

#[proxy_filter_host::test(guest = "early_open")]
fn the_open_policy_forwards_the_rest_of_a_request_after_an_early_response(mut host: Host) {
    host.root_id("open");
    let exchange = upload(&mut host, "/");
    assert_eq!(exchange.response().header("x-scanned"), None, "{exchange}");
    assert_eq!(received(&exchange), ("abcdef".to_owned(), true), "{exchange}");
}

#[proxy_filter_host::test(guest = "early_open")]
fn a_function_that_awaits_nothing_of_the_response_reads_the_whole_request(mut host: Host) {
    host.root_id("request_only");
    let exchange = upload(&mut host, "/");
    assert_eq!(exchange.messages(), ["scanned: abcdef"], "{exchange}");
    assert_eq!(received(&exchange), ("abcdef".to_owned(), true), "{exchange}");
}

/// The client sends `ping` once it may use the other protocol, and the upstream then sends `pong`.
fn chat(host: &mut Host, path: &str) -> Outcome {
    host.upgrades(&["websocket"]);
    host.allow_on_headers_stop_iteration(true);
    host.configure(r#"{ "name": "me" }"#).unwrap();
    host.upstream(|_| Reply::new(101).header("connection", "Upgrade").header("upgrade", "websocket").chunks(["pong"]));
    let exchange = host.get(path).upgrade("websocket").chunks(["ping"]).send();
    assert_eq!(exchange.status(), 101, "{exchange}");
    assert_eq!(exchange.response().text(), "pong", "{exchange}");
    exchange
}

#[proxy_filter_host::test(guest = "exchanges")]
fn headers_of_an_upgrade_complete_without_a_body(mut host: Host) {
    let exchange = chat(&mut host, "/upgrade");
    assert_eq!(exchange.upstream().unwrap().text(), "ping", "{exchange}");
    let messages = exchange.messages();
    assert_eq!(messages, ["0 bytes before websocket", "received: pong", "dropped: the function"], "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn an_upgraded_connection_that_no_function_reads_is_forwarded(mut host: Host) {
    let exchange = chat(&mut host, "/nothing");
    assert_eq!(exchange.upstream().unwrap().text(), "ping", "{exchange}");
}

#[proxy_filter_host::test(guest = "exchanges")]
fn data_after_an_upgrade_is_dropped_if_a_function_awaits_it(mut host: Host) {
    let exchange = chat(&mut host, "/early-chunks");
    assert_eq!(exchange.upstream().unwrap().text(), "", "{exchange}");
}
