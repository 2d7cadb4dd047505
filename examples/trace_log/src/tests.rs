//! Traces that are continued or begun, and the lines of the log.

use proxy_filter_host::{Host, Outcome, Reply};
use proxy_filter_kit::trace::TraceContext;
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn configure(host: &mut Host, configuration: Value) {
    // Random numbers, times and lines with them differ between hosts.
    host.ignore_value_of("traceparent");
    host.configure(configuration).unwrap();
}

fn sent(exchange: &Outcome) -> (TraceContext, Option<String>) {
    let received = exchange.upstream().unwrap();
    let trace = TraceContext::parse(&received.header("traceparent").unwrap()).unwrap();
    assert_eq!(received.header_values("traceparent").len(), 1, "{exchange}");
    (trace, received.header("tracestate").map(|state| state.to_string()))
}

#[proxy_filter_host::test(embedded)]
fn a_trace_of_the_client_is_continued_with_a_new_span(mut host: Host) {
    configure(&mut host, json!({ "sample_percent": 0 }));
    let exchange =
        host.get("/").header("traceparent", PARENT).header("tracestate", "a=1").header("tracestate", "b=2").send();
    let (trace, state) = sent(&exchange);
    assert_eq!((trace.trace_id().as_str(), trace.is_sampled()), (TRACE, true), "{exchange}");
    assert_ne!(trace.span_id(), "b7ad6b7169203331", "{exchange}");
    assert_eq!(state.as_deref(), Some("a=1,b=2"), "{exchange}");
}

#[proxy_filter_host::test(embedded)]
fn a_trace_begins_without_a_valid_one(mut host: Host) {
    configure(&mut host, json!({ "sample_percent": 100 }));
    for values in [&[][..], &["00-0-0-01"], &[PARENT, PARENT], &[""]] {
        let request = host.get("/").header("tracestate", "a=1");
        let exchange = values.iter().fold(request, |request, value| request.header("traceparent", value)).send();
        let (trace, state) = sent(&exchange);
        assert!(trace.trace_id() != TRACE && trace.is_sampled(), "{exchange}");
        assert_eq!(state, None, "{exchange}");
    }
    configure(&mut host, json!({ "sample_percent": 0, "restart": true }));
    let (trace, _) = sent(&host.get("/").header("traceparent", PARENT).send());
    assert!(trace.trace_id() != TRACE && !trace.is_sampled());
}

#[proxy_filter_host::test(embedded)]
fn the_log_has_a_line_for_each_response(mut host: Host) {
    configure(&mut host, json!({ "sample_percent": 0 }));
    host.upstream(|_| Reply::new(404));
    let exchange = host.get("/a\"b?token=secret").header("traceparent", PARENT).send();
    let line = exchange.messages().into_iter().find(|line| line.starts_with('{')).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for (name, expected) in [
        ("trace", json!(TRACE)),
        ("parent", json!("b7ad6b7169203331")),
        ("sampled", json!(true)),
        ("method", json!("GET")),
        ("path", json!("/a\"b")),
        ("status", json!(404)),
    ] {
        assert_eq!(line[name], expected, "{name}: {exchange}");
    }
    assert_eq!(line["span"], sent(&exchange).0.span_id(), "{exchange}");
}

#[proxy_filter_host::test]
fn a_percentage_above_100_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "sample_percent": 101 })).unwrap_err();
    assert!(refused.to_string().contains("sample_percent: 101 is more than 100"), "{refused}");
}
