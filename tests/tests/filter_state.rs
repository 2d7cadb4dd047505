//! The life of filter state: that of a request, or of the client's connection.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, build_guest};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

#[proxy_filter_host::test(guest = "spans")]
fn state_of_every_span_is_set_and_read(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    let expected = "chain false false, then true true, request false false, then true true, connection false false, then true true";
    assert_eq!(exchange.response().header("x-found"), Some(expected.into()), "{exchange}");
}

/// Returns the values of `x-found` for requests of one connection.
fn found(listener: SocketAddr, requests: usize) -> Vec<String> {
    let mut stream = TcpStream::connect(listener).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = |_| {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let length = field("content-length: ").unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        field("x-found: ").unwrap()
    };
    (0..requests).map(&mut answer).collect()
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn in_envoy_state_of_a_connection_is_available_to_its_next_request() {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("spans")).unwrap();
    let mut host = Host::in_envoy(&module).unwrap();
    host.configure("").unwrap();
    assert_eq!(host.get("/").send().status(), 200);
    let found = found(host.listener().unwrap(), 2);
    assert!(found.first().unwrap().contains("connection false false"), "{found:?}");
    let expected =
        "chain false false, then true true, request false false, then true true, connection true true, then true true";
    assert_eq!(found.last().unwrap(), expected, "{found:?}");
}
