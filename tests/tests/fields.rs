//! Functions that take a field, with every byte, and the resulting bytes on the wire, in each host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Received, Reply};

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_fit_for_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The bytes, as the filter logs them.
fn hex(takes: fn(u8) -> bool) -> String {
    (0..=u8::MAX).filter(|byte| takes(*byte)).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn check_log(exchange: &Outcome) {
    let names = ["add name", "replace name", "remove name"].map(|what| format!("{what}: {}", hex(is_token)));
    let values = ["add value", "replace value"].map(|what| format!("{what}: {}", hex(is_fit_for_value)));
    let messages = exchange.messages();
    for expected in names.iter().chain(&values) {
        assert!(messages.contains(&expected.as_str()), "{expected}: {exchange}");
    }
    assert_eq!(messages.len(), 5, "{exchange}");
}

/// The values `x?y` with each byte that a value can have, under the name of the byte.
fn check_values(received: &Received) {
    for byte in 0..=u8::MAX {
        let value = received.header(&format!("v-{byte:02x}"));
        let expected = is_fit_for_value(byte).then(|| vec![b'x', byte, b'y'].into());
        assert_eq!(value, expected, "{byte:02x}");
    }
}

#[proxy_filter_host::test(guest = "fields")]
fn edits_of_a_request_take_what_is_valid_and_the_upstream_gets_it(mut host: Host) {
    host.upstream(|_request| Reply::new(200));
    host.configure("").unwrap();
    let exchange = host.get("/request").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    check_log(&exchange);
    check_values(exchange.upstream().unwrap());
}

#[proxy_filter_host::test(guest = "fields")]
fn edits_of_a_response_take_what_is_valid_and_the_client_gets_it(mut host: Host) {
    host.upstream(|_request| Reply::new(200).body("hi"));
    host.configure("").unwrap();
    let exchange = host.get("/response").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    check_log(&exchange);
    check_values(exchange.response());
}

#[proxy_filter_host::test(guest = "fields")]
fn a_local_reply_is_sent_with_the_headers_that_are_valid(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/reply").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    check_values(exchange.response());
    let names = exchange.response().headers.iter().filter(|(name, _)| name.len() == 3 && name.starts_with(b"x"));
    assert_eq!(names.count(), (0..=u8::MAX).filter(|byte| is_token(*byte)).count(), "{exchange}");
}

#[proxy_filter_host::test(guest = "fields")]
fn edits_over_http2_take_what_is_valid_and_it_is_sent(mut host: Host) {
    host.upstream(|_request| Reply::new(200).body("hi"));
    host.configure("").unwrap();
    let exchange = host.get("/request").http2().send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    check_log(&exchange);
    check_values(exchange.upstream().unwrap());
    let exchange = host.get("/response").http2().send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    check_log(&exchange);
    check_values(exchange.response());
    let exchange = host.get("/reply").http2().send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    check_values(exchange.response());
}

/// No route of the host accepts CONNECT: its own response is what the filter edits.
#[proxy_filter_host::test(guest = "fields")]
fn edits_of_a_connect_request_and_of_its_response_take_what_is_valid(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.request("CONNECT", "example.com:80").header("x-path", "/request").send();
    check_log(&exchange);
    assert!(exchange.upstream().is_none(), "{exchange}");
    let exchange = host.request("CONNECT", "example.com:80").header("x-path", "/response").send();
    check_log(&exchange);
    check_values(exchange.response());
    let exchange = host.request("CONNECT", "example.com:80").header("x-path", "/reply").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    check_values(exchange.response());
}

#[proxy_filter_host::test(guest = "fields")]
fn a_call_that_is_not_valid_is_refused_and_another_is_made(mut host: Host) {
    host.cluster("service", |_call| Reply::new(200));
    host.grpc_cluster("grpc", |_call| Reply::grpc(b""));
    host.configure("").unwrap();
    let bytes = b"\0\x01\x08\t\n\x0b\r\x1b !\"(,/:=a~\x7f";
    let words: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let exchange = host.get("/call").header("x-bytes", words.join(" ")).send();
    for byte in *bytes {
        let is_fit_for_path = !matches!(byte, 0..=b' ' | 0x7f);
        for (what, is_taken) in [
            ("name", is_token(byte)),
            ("value", is_fit_for_value(byte)),
            ("path", is_fit_for_path),
            ("method", is_token(byte)),
            ("metadata", is_fit_for_value(byte)),
        ] {
            let line = format!("{what} {byte:02x}: {}", if is_taken { "200" } else { "InvalidInput" });
            assert!(exchange.messages().contains(&line.as_str()), "{line}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "fields")]
fn headers_copied_into_a_call_omit_hop_by_hop_fields(mut host: Host) {
    host.cluster("service", |_call| Reply::new(200));
    host.configure("").unwrap();
    for (exchange, what) in [
        (host.post("/copy").header("x-user", "alice").body("data").send(), "a body of known length"),
        (host.post("/copy").header("x-user", "alice").chunks(["da", "ta"]).send(), "chunks"),
        (host.post("/copy").header("x-user", "alice").header("expect", "100-continue").body("data").send(), "expect"),
        (host.post("/copy").header("x-user", "alice").header("te", "trailers").http2().send(), "HTTP/2"),
    ] {
        assert!(exchange.messages().contains(&"copy: 200"), "{what}: {exchange}");
        let call = &exchange.calls("service")[0];
        assert_eq!(call.header("x-user"), Some("alice".into()), "{what}: {exchange}");
        assert_eq!(call.header(":authority"), Some("service".into()), "{what}: {exchange}");
        for name in ["content-length", "transfer-encoding", "te", "expect", "host", "connection"] {
            assert_eq!(call.header(name), None, "{what}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "fields")]
fn the_host_is_found_by_either_name_and_a_repeated_field_is_no_single_one(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/single").authority("a.example").header("x-tenant", "a").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.messages(), ["host 1 a.example a.example"], "{exchange}");
    let exchange = host.get("/single").header("x-tenant", "a").header("x-tenant", "a").send();
    assert_eq!(exchange.status(), 400, "{exchange}");
}
