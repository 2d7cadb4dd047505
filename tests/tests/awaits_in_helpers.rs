//! A part of an async filter works as well when it was moved out of the annotated function.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Reply};
use std::time::Duration;

/// Where the awaits were moved to.
const PLACES: [&str; 8] = ["function", "module", "method", "extension", "closure", "macro", "shadowed", "generic"];

#[proxy_filter_host::test(guest = "moved")]
fn a_part_can_be_awaited_in_any_function(mut host: Host) {
    host.upstream(|_| Reply::new(200).header("x-up", "1").chunks(["four"]).trailer("x-t", "1"));
    let parts = [
        ("request_body", 3),
        ("request_chunk", 3),
        ("request_trailers", 1),
        ("response_headers", 1),
        ("response_body", 4),
        ("response_chunk", 4),
        ("response_trailers", 1),
        ("log_context", 1),
    ];
    for place in PLACES {
        host.root_id(place);
        for (part, seen) in parts {
            let request = host.post("/").header("x-part", part).chunks(["abc"]).trailer("x-t", "1");
            let exchange = request.http2().send();
            assert_eq!(exchange.status(), 200, "{place} {part}: {exchange}");
            assert!(exchange.messages().contains(&&*format!("{part}: {seen}")), "{place} {part}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "moved")]
fn a_callout_can_be_awaited_in_any_function(mut host: Host) {
    host.cluster("service", |_| Reply::new(200));
    for place in PLACES {
        host.root_id(place);
        for (callout, outcomes) in [("http", [1, 1]), ("timer", [1, 1]), ("grpc", [0, 1]), ("queue", [1, 1])] {
            let exchange = host.get("/").header("x-call", callout).send();
            assert_eq!(exchange.status(), 200, "{place} {callout}: {exchange}");
            let is_seen = |seen: &u32| exchange.messages().contains(&&*format!("{callout}: {seen}"));
            assert!(outcomes.iter().any(is_seen), "{place} {callout}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "moved")]
fn a_future_can_be_spawned_in_any_function(mut host: Host) {
    host.cluster("service", |_| Reply::new(200).after(Duration::from_millis(20)));
    for place in ["spawner", "exchange"] {
        host.root_id(place);
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 200, "{place}: {exchange}");
        let after = host.advance(Duration::from_millis(300));
        let messages = [exchange.messages(), after.messages()].concat();
        assert!(messages.contains(&"spawned"), "{place}: {exchange}{after}");
    }
}
