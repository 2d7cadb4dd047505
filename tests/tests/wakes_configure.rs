//! A `configure` function that its own timer, tick or call wakes, or another plugin, in a module of
//! several filters.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Received, Reply};
use std::time::Duration;

#[path = "../guests/examples/wakes_configure.rs"]
mod guest;

/// The events that a plugin awaits until it is ready. `other` awaits the first of the others that
/// is ready.
const WAITS: [&str; 6] = ["", "timer", "ticks", "call", "limit", "other"];

fn start(host: &mut Host, [first, second, third]: [&str; 3]) {
    host.workers(1);
    host.cluster("service", |_: &Received| Reply::new(200).after(Duration::from_millis(20)));
    host.cluster("slow", |_: &Received| Reply::new(200).after(Duration::from_secs(50)));
    let waits = |what: &str| format!(r#"{{ "waits": "{what}" }}"#);
    host.root_id("first");
    host.plugin("second", waits(second));
    host.plugin("third", waits(third));
    host.configure(waits(first)).unwrap();
}

/// Returns the events that the plugins awaited before they forwarded the request.
fn check(outcome: &Outcome, waits: [&str; 3]) {
    assert_eq!(outcome.status(), 200, "{waits:?}: {outcome}");
    for (name, what) in ["x-first", "x-second", "x-third"].into_iter().zip(waits) {
        assert_eq!(outcome.upstream().unwrap().header(name), Some(what.into()), "{waits:?}: {outcome}");
    }
}

/// Each filter awaits each of these events, while others await each of them: at once, and after it
/// was ready.
macro_rules! first_waits_for {
    ($($name:ident $waits:literal)*) => {
        $(#[proxy_filter_host::test(guest = "wakes_configure", module = guest, embedded)]
        fn $name(mut host: Host) {
            for second in WAITS {
                for third in ["timer", "other"] {
                    let waits = [$waits, second, third];
                    if waits.iter().all(|what| *what == "other") {
                        continue;
                    }
                    start(&mut host, waits);
                    for _ in 0..2 {
                        check(&host.get("/").send(), waits);
                    }
                }
            }
        })*
    };
}

first_waits_for! {
    beside_one_that_is_ready_at_once ""
    beside_one_that_waits_for_a_timer "timer"
    beside_one_that_waits_for_ticks "ticks"
    beside_one_that_waits_for_a_call "call"
    beside_one_whose_call_is_too_slow "limit"
    beside_one_that_waits_for_another "other"
}

/// The host makes no callback except the tick.
#[proxy_filter_host::test(guest = "wakes_configure", module = guest, embedded)]
fn a_plugin_gets_ready_without_a_stream(mut host: Host) {
    for what in ["timer", "ticks", "limit"] {
        start(&mut host, [what, "other", "other"]);
        let _ = host.advance(Duration::from_millis(200));
        let outcome = host.get("/").send();
        check(&outcome, [what, "other", "other"]);
        assert!(!outcome.to_string().contains("StopIteration"), "no stream waits any more: {outcome}");
    }
}

#[proxy_filter_host::test(guest = "wakes_configure", module = guest)]
fn a_sample_of_the_combinations_runs_in_every_host(mut host: Host) {
    for waits in [["ticks", "other", "limit"], ["other", "timer", "call"]] {
        start(&mut host, waits);
        check(&host.get("/").send(), waits);
    }
}
