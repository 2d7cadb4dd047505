//! Limits of clients, and the tokens of responses.

use proxy_filter_host::{Host, Reply};
use serde_json::json;

/// A stream with two events of text, and one with the counts: 40 tokens.
const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":30}}\n\ndata: [DONE]\n\n";

fn configure(host: &mut Host) {
    let clients = json!({ "alice": { "per_minute": 100 }, "bob": { "per_minute": 100 } });
    host.configure(json!({ "clients": clients, "others": { "per_minute": 20 }, "reserve": 10 })).unwrap();
}

fn statuses(host: &mut Host, client: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| host.get("/").header("x-client", client).send().status()).collect()
}

#[proxy_filter_host::test]
fn a_client_pays_for_the_tokens_of_its_responses(mut host: Host) {
    configure(&mut host);
    let json = json!({ "usage": { "input_tokens": 10, "output_tokens": 30 } }).to_string();
    let replies = [("text/event-stream", STREAM.to_owned()), ("application/json", json)];
    for ((kind, body), client) in replies.into_iter().zip(["alice", "bob"]) {
        host.upstream(move |_| Reply::new(200).header("content-type", kind).body(body.clone()));
        // 100 tokens are left before the first one, and 60 and 20 before the next ones: then -20.
        assert_eq!(statuses(&mut host, client, 4), [200, 200, 200, 429], "{kind}");
    }
    let exchange = host.get("/").header("x-client", "bob").send();
    assert_eq!((exchange.status(), exchange.upstream()), (429, None), "{exchange}");
    assert!(exchange.response().header("retry-after").is_some(), "{exchange}");
}

#[proxy_filter_host::test]
fn clients_without_a_limit_share_one(mut host: Host) {
    configure(&mut host);
    assert_eq!(statuses(&mut host, "eve", 1), [200]);
    assert_eq!(statuses(&mut host, "mallory", 2), [200, 429]);
    let exchange = host.get("/").header("x-client", "alice").header("x-client", "bob").send();
    assert_eq!(exchange.status(), 429, "{exchange}");
    assert_eq!(host.get("/").send().status(), 429);
    assert_eq!(statuses(&mut host, "alice", 1), [200]);
}

#[proxy_filter_host::test]
fn a_stream_without_counts_costs_a_token_for_each_event(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| {
        let reply = Reply::new(200).header("content-type", "text/event-stream");
        reply.body("data: {\"choices\":[]}\n\n".repeat(60))
    });
    assert_eq!(statuses(&mut host, "alice", 3), [200, 200, 429]);
    // The stream ends before its counts.
    host.upstream(|_| {
        let events = ["data: {}\n\n".repeat(95), "data: {\"usage\":{\"prompt_tokens\":1".to_owned()];
        Reply::new(200).header("content-type", "text/event-stream").chunks(events).cut_off()
    });
    let _cut_off = host.get("/").header("x-client", "bob").send();
    assert_eq!(statuses(&mut host, "bob", 1), [429]);
}

#[proxy_filter_host::test(embedded)]
fn a_debt_is_paid_with_time(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| {
        let reply = Reply::new(200).header("content-type", "application/json");
        reply.body("{\"usage\":{\"input_tokens\":0,\"output_tokens\":1000000}}")
    });
    assert_eq!(statuses(&mut host, "alice", 2), [200, 429]);
    let _ = host.advance(std::time::Duration::from_secs(9 * 60));
    assert_eq!(statuses(&mut host, "alice", 1), [429]);
    let _ = host.advance(std::time::Duration::from_secs(2 * 60));
    assert_eq!(statuses(&mut host, "alice", 1), [200]);
}

#[proxy_filter_host::test]
fn malformed_limits_are_refused_with_the_field(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "clients": {} }), "others"),
        (json!({ "clients": { "a": { "per_hour": 1 } }, "others": { "per_minute": 1 } }), "clients.a"),
        (json!({ "clients": {}, "others": { "per_minute": -1 } }), "others.per_minute"),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
