//! Upgraded connections (WebSocket) through an async function: both directions, refusals, and their
//! effects.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Reply, RequestBuilder};

#[path = "../guests/examples/upgrades.rs"]
mod guest;

fn accepted(chunks: &'static [&'static str]) -> Reply {
    Reply::new(101).header("connection", "Upgrade").header("upgrade", "websocket").chunks(chunks)
}

fn start(host: &mut Host) {
    host.upgrades(&["websocket"]);
    host.allow_on_headers_stop_iteration(true);
    host.cluster("authz", |_| Reply::new(403));
    host.upstream(|request| match request.header("upgrade") {
        Some(_) => accepted(&["pong", "pang"]),
        None => Reply::new(200).body("plain"),
    });
    host.configure("").unwrap();
}

/// The client sends two messages once the connection is upgraded, and the upstream sends two.
fn chat(host: &mut Host, path: &str) -> Outcome {
    host.get(path).upgrade("websocket").chunks(["ping", "peng"]).send()
}

/// The filters that read only headers, or nothing, forward every byte of both directions.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn an_upgraded_connection_is_forwarded_in_both_directions(mut host: Host) {
    start(&mut host);
    for path in ["/nothing", "/with-body", "/response-headers", "/response-chunks"] {
        let outcome = chat(&mut host, path);
        assert_eq!((outcome.status(), outcome.response().text()), (101, "pongpang".into()), "{outcome}");
        assert_eq!(outcome.upstream().unwrap().text(), "pingpeng", "{outcome}");
        let body = outcome.upstream().unwrap().header("x-body");
        assert_eq!(body, (path == "/with-body").then(|| "0".into()), "{outcome}");
        let seen = outcome.response().header("x-seen").is_some();
        assert_eq!(seen, path != "/nothing", "{outcome}");
        assert!(outcome.messages().is_empty(), "no end is reported: {outcome}");
    }
}

#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn an_upgrade_is_refused_before_it_reaches_the_upstream(mut host: Host) {
    start(&mut host);
    for path in ["/refused", "/refused-by-service"] {
        let outcome = chat(&mut host, path);
        assert_eq!((outcome.status(), outcome.response().text()), (403, "no upgrade\n".into()), "{outcome}");
        assert!(outcome.upstream().is_none(), "{outcome}");
        let next = host.get("/nothing").send();
        assert_eq!((next.status(), next.response().text()), (200, "plain".into()), "{next}");
    }
}

/// The upstream may decline. The response is then an ordinary one, with a body that ends.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn an_upgrade_that_the_upstream_declines_is_a_plain_exchange(mut host: Host) {
    start(&mut host);
    host.upstream(|_| Reply::new(400).body("no websocket here"));
    for path in ["/nothing", "/with-body", "/response-headers", "/response-chunks", "/response-body"] {
        let outcome = host.get(path).upgrade("websocket").send();
        assert_eq!((outcome.status(), outcome.response().text()), (400, "no websocket here".into()), "{outcome}");
    }
}

#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn a_message_of_the_upstream_can_end_an_upgraded_connection(mut host: Host) {
    start(&mut host);
    host.upstream(|_| accepted(&["pong", "a secret", "more"]));
    let outcome = chat(&mut host, "/response-chunks");
    let text = outcome.response().text();
    assert!(!text.contains("secret") && !text.contains("more"), "{outcome}");
}

/// An upstream that declines reads the next bytes as the body, which is empty for the filter.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn an_upgrade_that_announces_a_body_is_refused(mut host: Host) {
    start(&mut host);
    for (length, status) in [("4", 400), ("00", 400), ("0", 101)] {
        let exchange = host.post("/with-body").upgrade("websocket").header("content-length", length).send();
        assert_eq!(exchange.status(), status, "{length}: {exchange}");
        assert_eq!(exchange.upstream().is_some(), status == 101, "{length}: {exchange}");
        assert!(exchange.logs().iter().all(|line| line.level <= LogLevel::Info), "{exchange}");
    }
}

/// The ways to a tunnel: an upgrade, and `CONNECT`.
const TUNNELS: [&str; 3] = ["websocket", "CONNECT", HTTP2];

const HTTP2: &str = "CONNECT over HTTP/2";

fn start_tunnels(host: &mut Host) {
    start(host);
    host.upgrades(&["websocket", "CONNECT"]);
    host.upstream(|request| match request.header("upgrade") {
        Some(_) => accepted(&["pong", "pang"]),
        None => Reply::new(200).chunks(["pong", "pang"]),
    });
    host.configure("").unwrap();
}

/// What the filter does is in `x-path`, since `CONNECT` has no path.
fn tunnel(host: &mut Host, way: &str, path: &str) -> Outcome {
    let request = match way {
        "CONNECT" => host.request("CONNECT", "example.com:80"),
        HTTP2 => host.request("CONNECT", "").authority("example.com:80").http2(),
        protocol => host.get("/").upgrade(protocol),
    };
    request.header("x-path", path).chunks(["ping", "peng"]).send()
}

#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn a_tunnel_is_forwarded_in_both_directions(mut host: Host) {
    start_tunnels(&mut host);
    for way in TUNNELS {
        for path in ["/nothing", "/with-body", "/response-headers", "/response-chunks"] {
            let outcome = tunnel(&mut host, way, path);
            let status = if way == "websocket" { 101 } else { 200 };
            assert_eq!((outcome.status(), outcome.response().text()), (status, "pongpang".into()), "{outcome}");
            assert_eq!(outcome.upstream().unwrap().text(), "pingpeng", "{outcome}");
            // Only a stream of HTTP/2 has an end.
            let has_end = way == HTTP2 && path == "/response-chunks";
            assert_eq!(outcome.messages().len(), usize::from(has_end), "{outcome}");
        }
    }
}

#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn a_connect_request_is_refused_before_the_upstream_gets_it(mut host: Host) {
    start_tunnels(&mut host);
    for way in ["CONNECT", HTTP2] {
        for path in ["/refused", "/refused-by-service"] {
            let outcome = tunnel(&mut host, way, path);
            assert_eq!((outcome.status(), outcome.response().text()), (403, "no upgrade\n".into()), "{outcome}");
            assert!(outcome.upstream().is_none(), "{outcome}");
        }
    }
}

/// A tunnel has no whole response: the function gets an error, not an empty body, and does not
/// wait.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn a_whole_response_of_a_tunnel_is_an_error(mut host: Host) {
    start_tunnels(&mut host);
    for way in TUNNELS {
        let outcome = tunnel(&mut host, way, "/response-with-body");
        assert_eq!((outcome.status(), outcome.response().text()), (403, String::new()), "{way}: {outcome}");
        let outcome = tunnel(&mut host, way, "/response-body");
        assert_eq!(outcome.response().text(), "", "{way}: {outcome}");
        assert!(outcome.logs().iter().all(|line| line.level <= LogLevel::Info), "{way}: {outcome}");
        let outcome = tunnel(&mut host, way, "/tunnel-match");
        assert_eq!(outcome.response().text(), "pongpang", "{way}: {outcome}");
        assert_eq!(outcome.messages(), ["Tunnel"], "{way}: {outcome}");
    }
}

/// No part of a request follows the response, except over HTTP/2: the client's bytes are dropped.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn the_request_of_a_tunnel_is_dropped_if_a_function_awaits_more_of_it(mut host: Host) {
    start_tunnels(&mut host);
    for way in TUNNELS {
        for path in ["/request-chunks", "/request-body", "/request-trailers"] {
            let outcome = tunnel(&mut host, way, path);
            assert_eq!(outcome.upstream().unwrap().text(), "", "{way}, {path}: {outcome}");
            assert!(!outcome.messages().iter().any(|line| line.contains("ended")), "{way}, {path}: {outcome}");
        }
    }
}

/// An upstream that declines sends an ordinary response.
#[proxy_filter_host::test(guest = "upgrades", module = guest)]
fn a_declined_tunnel_has_a_whole_response(mut host: Host) {
    start_tunnels(&mut host);
    host.upstream(|_| Reply::new(407).body("not here"));
    host.configure("").unwrap();
    for way in TUNNELS {
        for (path, line) in [
            ("/response-body", "a whole body of 8 bytes"),
            ("/response-with-body", "a response with a body of 8 bytes"),
        ] {
            let outcome = tunnel(&mut host, way, path);
            assert_eq!((outcome.status(), outcome.response().text()), (407, "not here".into()), "{way}: {outcome}");
            assert_eq!(outcome.messages(), [line], "{way}: {outcome}");
        }
    }
}

/// The ways to a tunnel, for a filter that has callbacks.
const WAYS: [fn(&mut Host) -> RequestBuilder<'_>; 3] = [
    |host| host.get("/").upgrade("websocket"),
    |host| host.request("CONNECT", "example.com:80"),
    |host| host.request("CONNECT", "").authority("example.com:80").http2(),
];

fn start_callbacks(host: &mut Host) {
    host.upgrades(&["websocket", "CONNECT"]);
    host.upstream(|request| match request.header("upgrade") {
        Some(_) => accepted(&["pong"]),
        None => Reply::new(200).chunks(["pong"]),
    });
    host.configure("").unwrap();
}

#[proxy_filter_host::test(guest = "by_path")]
fn callbacks_forward_both_directions_of_a_tunnel(mut host: Host) {
    start_callbacks(&mut host);
    for request in WAYS {
        let outcome = request(&mut host).chunks(["ping"]).send();
        let received = (outcome.upstream().unwrap().text(), outcome.response().text());
        assert_eq!(received, ("ping".into(), "pong".into()), "{outcome}");
        for callback in ["proxy_on_request_body", "proxy_on_response_body"] {
            assert!(outcome.callbacks().contains(&callback), "{outcome}");
        }
    }
}

/// What a callback buffers of a tunnel over HTTP/1 is never forwarded: it has no end.
#[proxy_filter_host::test(guest = "script")]
fn callbacks_refuse_a_tunnel_or_withhold_its_bytes(mut host: Host) {
    start_callbacks(&mut host);
    for (number, request) in WAYS.into_iter().enumerate() {
        let script = "reply 403 no; return 1";
        let outcome = request(&mut host).header("x-request-headers", script).chunks(["ping"]).send();
        assert_eq!((outcome.status(), outcome.upstream().is_none()), (403, true), "{outcome}");
        let outcome = request(&mut host).header("x-response-body", "buffer 1").chunks(["ping"]).send();
        let expected = if number == 2 { "pong" } else { "" };
        assert_eq!(outcome.response().text(), expected, "{outcome}");
    }
}
