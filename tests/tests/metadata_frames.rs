//! METADATA frames of HTTP/2, which only Envoy has.

use proxy_filter_host::{Host, Reply};

#[proxy_filter_host::test(guest = "frames")]
fn a_filter_is_notified_of_the_number_of_entries_of_a_metadata_frame(mut host: Host) {
    host.allow_metadata();
    host.upstream(|_| Reply::new(200).metadata("x-c", "3").chunks(["body"]));
    let request = host.post("/").metadata("x-a", "1").metadata("x-b", "2").chunks(["data"]);
    let exchange = request.http2().send();
    assert_eq!(
        exchange.messages(),
        [
            "request headers false",
            "request metadata 2",
            "on_request_metadata of context 2 failed: the request's metadata failed as asked",
            "request body 4 true",
            "response headers false",
            "response metadata 1",
            "response body 4 true",
        ],
        "{exchange}"
    );
    assert_eq!(exchange.status(), 200);
    exchange.expect_error("the request's metadata failed as asked");
}

#[proxy_filter_host::test(guest = "frames")]
fn metadata_may_follow_the_headers_without_a_body(mut host: Host) {
    host.allow_metadata();
    let exchange = host.get("/").metadata("x-a", "1").http2().send();
    assert!(exchange.messages().contains(&"request metadata 1"), "{exchange}");
    assert!(exchange.messages().contains(&"request body 0 true"), "{exchange}");
    exchange.expect_error("the request's metadata failed as asked");
}

#[proxy_filter_host::test(guest = "frames")]
fn a_listener_that_does_not_allow_metadata_has_no_metadata_callback(mut host: Host) {
    let exchange = host.post("/").metadata("x-a", "1").chunks(["data"]).http2().send();
    assert!(!exchange.messages().iter().any(|line| line.contains("metadata")), "{exchange}");
    assert_eq!(exchange.status(), 200, "{exchange}");
}
