//! What only many exchanges show: leaks, and host calls that fail. And what an exchange costs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Reply};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

#[path = "../guests/examples/leaks.rs"]
mod guest;

/// Why the body fails; empty if it does not.
fn failure(body: impl FnOnce()) -> String {
    let Err(why) = catch_unwind(AssertUnwindSafe(body)) else { return String::new() };
    why.downcast_ref::<String>().cloned().unwrap_or_default()
}

fn soak(host: &mut Host, path: &str) -> String {
    // Longer than the soak waits for calls to end.
    host.cluster("slow", |_| Reply::new(200).after(Duration::from_secs(10_000)));
    host.configure("").unwrap();
    failure(|| host.soak(400, |host| drop(host.get(path).send())))
}

#[proxy_filter_host::test(guest = "leaks", module = guest, embedded)]
fn data_of_each_exchange_that_stays_is_a_leak(mut host: Host) {
    for (path, what) in [
        ("/shared-data", "bytes of shared data"),
        ("/queue", "bytes in queues"),
        ("/metric", "bytes of names of metrics"),
    ] {
        let why = soak(&mut host, path);
        assert!(why.contains("after 200 more equal exchanges") && why.contains(what), "{path}: {why}");
    }
}

#[proxy_filter_host::test(guest = "leaks", module = guest, embedded)]
fn a_full_cache_and_calls_that_end_are_no_leak(mut host: Host) {
    for path in ["/", "/cache", "/denied"] {
        assert_eq!(soak(&mut host, path), "", "{path}");
    }
}

#[proxy_filter_host::test(guest = "leaks", embedded)]
fn memory_that_grows_is_a_leak(mut host: Host) {
    let why = soak(&mut host, "/memory");
    assert!(why.contains("bytes of memory instead of"), "{why}");
}

fn sweep(host: &mut Host, path: &str) -> String {
    host.configure("").unwrap();
    failure(|| drop(host.sweep_faults(|host| host.get(path).send())))
}

#[proxy_filter_host::test(guest = "leaks", module = guest, embedded)]
fn each_harm_that_a_failed_host_call_can_do_fails_the_test(mut host: Host) {
    for (path, harm, function) in [
        ("/opens", "is refused otherwise, and reaches the upstream now", "proxy_get_header_map_value"),
        ("/traps", "failed with", "proxy_add_header_map_value"),
        ("/stops", "the stream waits for ever", "proxy_add_header_map_value"),
    ] {
        let why = sweep(&mut host, path);
        assert!(why.contains(harm) && why.contains(&format!("{function}, failed with BadArgument")), "{path}: {why}");
    }
}

#[proxy_filter_host::test(guest = "leaks", module = guest)]
fn a_filter_that_stays_closed_is_swept_without_a_failure(mut host: Host) {
    let faults = host.sweep_faults(|host| host.get("/denied").send());
    for fault in &faults {
        assert!(fault.outcome.upstream().is_none(), "{fault}");
    }
    // In a real Envoy no call fails.
    assert!(faults.is_empty() == host.usage().is_none(), "{faults:?}");
    assert_eq!(host.get("/").send().status(), 200, "the plugin has started again");
}

#[proxy_filter_host::test(guest = "leaks", module = guest, embedded)]
fn the_costs_of_an_exchange_are_numbers(mut host: Host) {
    let [first, second] = [(); 2].map(|()| host.get("/").send().spent());
    assert_eq!((first.callbacks, first.host_calls), (second.callbacks, second.host_calls));
    assert!((1..=2).contains(&first.host_calls), "the path, and perhaps the level of the log: {first:?}");
    // Natively there are no instructions and no pages.
    let is_wasm = first.pages > 0;
    assert_eq!(is_wasm, (500..20_000).contains(&first.instructions), "{first:?}");
    let stamped = host.get("/traps").send().spent();
    assert_eq!(stamped.host_calls, first.host_calls + 1, "{stamped:?}");
    assert!(stamped.instructions > second.instructions || !is_wasm, "{stamped:?} {second:?}");
}
