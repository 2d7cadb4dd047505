//! A message that has already arrived needs no stack when it is awaited: guests are built with 48
//! KiB of stack.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{GrpcStreamReply, Host};
use std::time::Duration;

const FILTERS: [&str; 2] = ["callbacks", "function"];

fn start(host: &mut Host, root_id: &str) {
    host.root_id(root_id);
    host.grpc_stream_cluster("talk", |message: &[u8]| {
        let times = std::str::from_utf8(message).unwrap().parse().unwrap();
        let mut messages = vec![b"more".to_vec(); times];
        messages.push(b"last".to_vec());
        GrpcStreamReply::from(messages)
    });
    host.configure("").unwrap();
}

fn check(mut host: Host, times: u32) {
    for filter in FILTERS {
        start(&mut host, filter);
        let exchange = host
            .get("/messages")
            .header("x-times", times.to_string())
            .disconnect_after(Duration::from_secs(100))
            .send();
        assert_eq!((exchange.status(), exchange.messages()), (200, vec![&*format!("{times} messages")]), "{filter}");
        for path in ["/refused", "/refused-later", "/sent"] {
            let exchange = host.get(path).header("x-times", times.to_string()).send();
            let expected = format!("{times} refusals");
            assert_eq!((exchange.status(), exchange.messages()), (200, vec![&*expected]), "{filter} {path}");
        }
    }
}

/// A tenth of these overflowed the stack when completions ran inside of each other.
#[proxy_filter_host::test(guest = "queued")]
fn thousands_of_messages_and_refusals_use_constant_stack(host: Host) {
    check(host, 3000);
}

/// The first message has arrived when the body callback pauses for it. The callback then forwards
/// the part itself, instead of the last completion.
#[proxy_filter_host::test(guest = "queued")]
fn a_paused_part_is_resumed_by_the_last_available_message(mut host: Host) {
    start(&mut host, "callbacks");
    let exchange = host.post("/messages").header("x-times", "100").chunks(["slow", "", "er"]).send();
    assert_eq!((exchange.status(), exchange.messages()), (200, vec!["100 messages"]), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().text(), "slower");
}
