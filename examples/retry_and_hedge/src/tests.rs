//! The clusters that are called, and the response that is used.

use super::location;
use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Outcome, Received, Reply};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

type Answer = fn(u32) -> Reply;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Sends a request. Each cluster responds as its function returns, given the number of the call.
fn send(host: &mut Host, near: Answer, far: Answer) -> Outcome {
    // The ticks under all these times are not the same in a real Envoy; what is seen of them is.
    host.log_level(LogLevel::Info);
    for (name, answer) in [("near", near), ("far", far)] {
        let calls = AtomicU32::new(0);
        host.cluster(name, move |_: &Received| answer(calls.fetch_add(1, Ordering::SeqCst)));
    }
    // It takes longer than everything else, so that late responses arrive before the end.
    host.upstream(|_| Reply::new(200).after(ms(600)));
    host.configure(json!({ "path": "/locate", "first": "near", "second": "far", "limit_ms": 400 })).unwrap();
    host.get("/").header("x-location", "moon").send()
}

/// Returns the location that the upstream received, and the number of calls of each cluster.
fn outcome(exchange: &Outcome) -> (Option<String>, usize, usize) {
    let location = exchange.upstream().unwrap().header("x-location").map(|value| value.to_string());
    (location, exchange.calls("near").len(), exchange.calls("far").len())
}

fn found(location: &str) -> Reply {
    Reply::new(200).body(location)
}

#[proxy_filter_host::test]
fn a_quick_response_makes_one_call(mut host: Host) {
    let exchange = send(&mut host, |_| found("here"), |_| found("there"));
    assert_eq!(outcome(&exchange), (Some("here".into()), 1, 0), "{exchange}");
}

#[proxy_filter_host::test]
fn a_slow_response_loses_to_the_second_call(mut host: Host) {
    let exchange = send(&mut host, |_| found("here").after(ms(300)), |_| found("there"));
    assert_eq!(outcome(&exchange), (Some("there".into()), 1, 1), "{exchange}");
}

#[proxy_filter_host::test]
fn a_slow_response_may_still_arrive_first(mut host: Host) {
    let exchange = send(&mut host, |_| found("here").after(ms(180)), |_| found("there").after(ms(250)));
    assert_eq!(outcome(&exchange), (Some("here".into()), 1, 1), "{exchange}");
}

#[proxy_filter_host::test]
fn a_slow_response_is_used_if_the_second_call_fails(mut host: Host) {
    let exchange = send(&mut host, |_| found("here").after(ms(250)), |_| Reply::new(500));
    assert_eq!(outcome(&exchange), (Some("here".into()), 1, 1), "{exchange}");
}

#[proxy_filter_host::test]
fn a_failure_starts_the_second_call_at_once(mut host: Host) {
    let exchange = send(&mut host, |_| Reply::reset(), |_| found("there"));
    assert_eq!(outcome(&exchange), (Some("there".into()), 1, 1), "{exchange}");
}

#[proxy_filter_host::test]
fn both_calls_are_retried_if_both_fail(mut host: Host) {
    let near: Answer = |call| if call < 2 { Reply::new(500) } else { found("here") };
    let exchange = send(&mut host, near, |_| Reply::new(500));
    assert_eq!(outcome(&exchange), (Some("here".into()), 3, 2), "{exchange}");
}

#[proxy_filter_host::test]
fn spaces_around_a_location_are_removed(mut host: Host) {
    let texts = ["Berlin", "Berlin\n", "Berlin\r\n", "Berlin\n\n", " Berlin ", "\tBerlin\t"];
    assert_locations(&mut host, texts.map(|text| (text.as_bytes().to_vec(), Some(b"Berlin".to_vec()))).to_vec());
}

#[proxy_filter_host::test]
fn the_request_is_forwarded_without_a_location_that_cannot_be_a_header(mut host: Host) {
    let odd = [&b"x\r\nx-admin: 1"[..], b"<html>\n<b>x</b>\n", b"", b"\r\n", b"a\0b", b"a\x01b", b"a\x7fb"];
    let mut cases: Vec<_> = odd.iter().map(|text| (text.to_vec(), None)).collect();
    cases.push((vec![b'a'; 70_000], None));
    cases.push((b"caf\xe9".to_vec(), Some(b"caf\xe9".to_vec())));
    assert_locations(&mut host, cases);
}

#[test]
fn a_location_has_no_control_bytes_and_a_longest_length() {
    for byte in 0..=0xff {
        let passes = byte == b'\t' || !byte.is_ascii_control();
        assert_eq!(location(&[b'a', byte, b'b']).is_ok(), passes, "{byte:#x}");
    }
    for (length, passes) in [(0, false), (1, true), (1024, true), (1025, false), (70_000, false)] {
        assert_eq!(location(&vec![b'a'; length]).is_ok(), passes, "{length}");
    }
}

#[proxy_filter_host::test(embedded)]
fn log_lines_about_outages_are_rate_limited(mut host: Host) {
    host.log_level(LogLevel::Info);
    let configuration = json!({ "path": "/locate", "first": "near", "second": "far", "tries": 1 });
    host.configure(configuration).unwrap();
    let lines: usize = (0..100).map(|_| host.get("/").send().messages().len()).sum();
    assert!((1..=20).contains(&lines), "{lines}");
}

/// The cluster responds with each of these texts. The upstream gets the location, or there is a
/// warning and it gets none.
fn assert_locations(host: &mut Host, cases: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    host.log_level(LogLevel::Info);
    let texts: Vec<Vec<u8>> = cases.iter().map(|(text, _)| text.clone()).collect();
    host.cluster("near", move |call: &Received| {
        let number = call.header("x-client").unwrap().to_string();
        Reply::new(200).body(texts[number.parse::<usize>().unwrap()].clone())
    });
    host.configure(json!({ "path": "/locate", "first": "near", "second": "near", "hedge_ms": 900 })).unwrap();
    for (number, (text, location)) in cases.into_iter().enumerate() {
        let exchange = host.get("/").header("x-forwarded-for", number.to_string()).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        let found = exchange.upstream().unwrap().header("x-location");
        assert_eq!(found, location.as_deref().map(Into::into), "{text:?}: {exchange}");
        assert_eq!(exchange.messages().is_empty(), location.is_some(), "{text:?}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn the_request_is_forwarded_without_a_location_if_every_attempt_fails(mut host: Host) {
    let exchange = send(&mut host, |_| Reply::new(500), |_| Reply::new(404));
    assert_eq!(outcome(&exchange), (None, 3, 3), "{exchange}");
    assert_eq!(exchange.messages(), ["no location: far responded with 404"]);
}

#[proxy_filter_host::test]
fn the_request_is_forwarded_when_its_time_limit_elapses(mut host: Host) {
    let exchange = send(&mut host, |_| found("here").after(ms(550)), |_| found("there").after(ms(500)));
    assert_eq!(outcome(&exchange), (None, 1, 1), "{exchange}");
    assert_eq!(exchange.messages(), ["no location: the time limit has elapsed"]);
}

#[proxy_filter_host::test]
fn a_missing_cluster_is_a_failure(mut host: Host) {
    host.cluster("far", |_| found("there"));
    host.configure(json!({ "path": "/locate", "first": "near", "second": "far" })).unwrap();
    let exchange = host.get("/").send();
    assert_eq!(outcome(&exchange), (Some("there".into()), 0, 1), "{exchange}");
}
