//! Local replies to gRPC requests: the same in the embedded host and in Envoy.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome};

/// Returns the response to a request of this content type that gets a local reply.
fn answer(host: &mut Host, content_type: &str, headers: &[(&str, &str)]) -> Outcome {
    let mut request = host.post("/pkg.Service/Method").http2().header("content-type", content_type);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body("\0\0\0\0\0").send()
}

fn grpc_status(exchange: &Outcome) -> String {
    exchange.response().header("grpc-status").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn the_grpc_status_follows_from_the_http_status(mut host: Host) {
    for (status, grpc) in [
        ("200", "2"),
        ("400", "13"),
        ("401", "16"),
        ("403", "7"),
        ("404", "12"),
        ("409", "2"),
        ("429", "14"),
        ("500", "2"),
        ("502", "14"),
        ("503", "14"),
        ("504", "14"),
    ] {
        let exchange = answer(&mut host, "application/grpc", &[("x-status", status)]);
        assert_eq!((exchange.status(), grpc_status(&exchange).as_str()), (200, grpc), "{status}: {exchange}");
        assert_eq!(exchange.response().header("content-type"), Some("application/grpc".into()));
        assert_eq!(exchange.response().header("x-reason"), Some("test".into()));
    }
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn a_grpc_status_of_its_own_wins(mut host: Host) {
    for grpc in ["0", "1", "5", "8", "16"] {
        let exchange = answer(&mut host, "application/grpc", &[("x-status", "403"), ("x-grpc", grpc)]);
        assert_eq!((exchange.status(), grpc_status(&exchange).as_str()), (200, grpc), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn the_body_becomes_the_grpc_message(mut host: Host) {
    for body in ["no", "a b%c", "\u{e4}\u{20ac}"] {
        let exchange = answer(&mut host, "application/grpc", &[("x-status", "403"), ("x-body", body)]);
        assert!(exchange.response().header("grpc-message").is_some(), "{exchange}");
        assert!(exchange.response().body.is_empty());
    }
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn only_a_grpc_request_gets_a_grpc_reply(mut host: Host) {
    for (content_type, is_grpc) in [
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpcx", false),
        ("application/json", false),
    ] {
        let exchange = answer(&mut host, content_type, &[("x-status", "403"), ("x-grpc", "5"), ("x-body", "no")]);
        let status = if is_grpc { 200 } else { 403 };
        assert_eq!((exchange.status(), grpc_status(&exchange).is_empty()), (status, !is_grpc), "{content_type}");
    }
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn a_local_reply_in_the_response_is_a_grpc_reply(mut host: Host) {
    let headers = [("x-phase", "response"), ("x-status", "403"), ("x-body", "late")];
    let exchange = answer(&mut host, "application/grpc", &headers);
    assert_eq!((exchange.status(), grpc_status(&exchange).as_str()), (200, "7"), "{exchange}");
    assert_eq!(exchange.response().header("grpc-message"), Some("late".into()));
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn an_error_of_the_filter_is_a_grpc_reply(mut host: Host) {
    let exchange = answer(&mut host, "application/grpc", &[("x-phase", "error")]);
    assert_eq!((exchange.status(), grpc_status(&exchange).as_str()), (200, "2"), "{exchange}");
    exchange.expect_error("failed as asked; the client gets a 500");
}

#[proxy_filter_host::test(guest = "grpc_reply")]
fn grpc_replies_are_the_same_in_http1_and_http2(mut host: Host) {
    let request = host.post("/pkg.Service/Method").header("content-type", "application/grpc").header("x-status", "503");
    let exchange = request.body("\0\0\0\0\0").send();
    assert_eq!((exchange.status(), grpc_status(&exchange).as_str()), (200, "14"), "{exchange}");
}
