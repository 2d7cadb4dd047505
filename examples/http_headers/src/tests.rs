//! The filter as a client, an upstream and a log reader see it.

use proxy_filter_host::{Host, Reply};

#[proxy_filter_host::test]
fn headers_of_both_messages_are_logged(mut host: Host) {
    host.upstream(|_| Reply::new(200).header("x-up", "1").body("body"));
    let exchange = host.get("/a").header("x-a", "1").header("x-a", "2").send();
    let messages = exchange.messages();
    for line in
        ["> :method: GET", "> :path: /a", "> x-a: 1", "> x-a: 2", "< :status: 200", "< x-up: 1", "< content-length: 4"]
    {
        assert!(messages.contains(&line), "{line} is missing:\n{exchange}");
    }
}

#[proxy_filter_host::test]
fn hello_gets_a_local_reply(mut host: Host) {
    let exchange = host.get("/hello").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.response().text(), "Hello, World!\n");
    assert_eq!(exchange.response().header("hello"), Some("world".into()));
    assert_eq!(
        exchange.response().header("x-proxy-filter"),
        Some("http_headers".into()),
        "the local reply is stamped too"
    );
    assert!(exchange.upstream().is_none(), "{exchange}");
}

#[proxy_filter_host::test]
fn a_local_reply_to_head_has_no_body(mut host: Host) {
    let exchange = host.request("HEAD", "/hello").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.response().header("content-length"), Some("14".into()));
    assert_eq!(exchange.response().body, b"");
}

#[proxy_filter_host::test]
fn every_response_is_stamped(mut host: Host) {
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-proxy-filter"), Some("http_headers".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn bytes_that_are_not_utf8_are_logged_escaped_and_reach_the_upstream(mut host: Host) {
    let exchange = host.get("/").header("x-raw", b"\xff\xfe").header("x-empty", "").send();
    assert!(exchange.messages().contains(&"> x-raw: \\xff\\xfe"), "{exchange}");
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header("x-raw").unwrap(), b"\xff\xfe");
    assert_eq!(upstream.header("x-empty").unwrap(), "");
}

#[proxy_filter_host::test]
fn an_upstream_that_closes_the_connection_gives_a_stamped_503(mut host: Host) {
    host.upstream(|_| Reply::reset());
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert_eq!(exchange.response().header("x-proxy-filter"), Some("http_headers".into()));
}

#[proxy_filter_host::test]
fn http2_messages_are_logged_the_same_way(mut host: Host) {
    let exchange = host.get("/hello").http2().send();
    assert_eq!(exchange.response().text(), "Hello, World!\n", "{exchange}");
    let exchange = host.post("/").header("cookie", "a=1").header("cookie", "b=2").body("data").http2().send();
    assert!(exchange.messages().contains(&"> cookie: a=1; b=2"), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().body, b"data");
}
