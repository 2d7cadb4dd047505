//! Streams that wake each other: a future that another stream's callback wakes runs at the next
//! tick, without an event of its own.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome};
use std::time::Duration;

#[path = "../guests/examples/wakes_configuration.rs"]
mod configuration;

/// A stream awaits its response and another stream, which ends first.
fn play(host: &mut Host) -> Outcome {
    let waits = host.get("/waits").before_response(|host| {
        assert_eq!(host.get("/wakes").send().status(), 200);
        let _ = host.advance(Duration::from_millis(50));
    });
    waits.send()
}

fn runs_before_its_response(mut host: Host) {
    // The hosts differ in whether the tick comes before the end of the other stream. With workers,
    // this is not compared.
    host.workers(1);
    host.configure("{}").unwrap();
    for _ in 0..2 {
        let exchange = play(&mut host);
        assert_eq!(exchange.response().header("x-ran"), Some("before the response".into()), "{exchange}");
        assert!(exchange.messages().is_empty(), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "wakes_configuration", module = configuration)]
fn a_stream_wakes_another_in_a_filter_with_a_configuration(host: Host) {
    runs_before_its_response(host);
}

#[proxy_filter_host::test(guest = "wakes_root_task")]
fn a_stream_wakes_another_in_a_filter_with_a_root_task(host: Host) {
    runs_before_its_response(host);
}

#[proxy_filter_host::test(guest = "wakes_timers")]
fn a_stream_wakes_another_in_a_filter_with_timers(host: Host) {
    runs_before_its_response(host);
}
