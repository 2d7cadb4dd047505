//! Input that exhausts a module is refused, or the log names the cause.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, MetadataSource, Outcome, build_guest};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

fn module() -> Vec<u8> {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some("exhaustion"));
    std::fs::read(module.unwrap()).unwrap()
}

/// Returns the filter's report to the upstream.
fn got(exchange: &Outcome) -> String {
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("nothing reached the upstream: {exchange}"));
    upstream.header("x-got").unwrap_or_default().to_string()
}

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

/// A way to nest: the member of the configuration, the text that opens a level, the inner text, and
/// the text that closes a level.
type Shape = (&'static str, &'static str, &'static str, &'static str);

const SHAPES: [Shape; 10] = [
    ("value", "[", "1", "]"),
    ("value", r#"{"a":"#, "1", "}"),
    ("wide", r#"{"a":"#, "{}", "}"),
    ("rule", r#"{"a":"#, r#"{"leaf":"x"}"#, "}"),
    ("rule", r#"{"all":["#, r#"{"leaf":"x"}"#, "]}"),
    ("untagged", "[", "1", "]"),
    ("untagged", r#"{"a":"#, "1", "}"),
    ("tagged", r#"{"tag":"X","a":"#, "null", "}"),
    ("flat", r#"{"a":"#, "{}", "}"),
    ("unknown", r#"{"a":"#, "1", "}"),
];

#[test]
fn a_configuration_of_any_depth_is_read_or_refused_with_a_message() {
    let module = module();
    for (member, open, inside, close) in SHAPES {
        let mut deepest = 0;
        for depth in [1, 5, 10, 15, 20, 23, 26, 30, 40, 50, 60, 70, 76, 79, 82, 84, 86, 90, 98, 110, 126, 127, 128, 200]
        {
            let mut host = Host::for_module(&module);
            let text = format!(r#"{{"{member}":{}}}"#, nested(open, inside, close, depth));
            let configured = host.configure(text.as_str());
            match configured {
                Ok(()) => deepest = depth,
                Err(refused) => {
                    let why = refused.to_string();
                    let named = ["nested too deeply for the module's stack", "recursion limit exceeded"];
                    assert!(named.iter().any(|words| why.contains(words)), "{member} {open} {depth}: {why}");
                }
            }
        }
        println!("{member} {open}: {deepest} levels");
        assert!((15..128).contains(&deepest), "{member} {open}: only {deepest} levels");
    }
}

#[proxy_filter_host::test(guest = "exhaustion")]
fn a_configuration_that_is_nested_too_deeply_is_refused(mut host: Host) {
    let refused = host.configure(nested(r#"{"value":"#, "1", "}", 120).as_str()).unwrap_err();
    assert!(refused.to_string().contains("nested too deeply for the module's stack"), "{refused}");
    host.configure(nested(r#"{"value":"#, "1", "}", 60).as_str()).unwrap();
    assert_eq!(host.get("/").send().status(), 200);
}

#[test]
fn metadata_and_text_of_any_depth_are_read_or_refused() {
    let module = module();
    for depth in (1..98).step_by(4) {
        let mut host = Host::for_module(&module);
        let text = nested(r#"{"a":"#, "{}", "}", depth);
        host.metadata(MetadataSource::Request, format!(r#"{{"x":{text}}}"#));
        host.configure("{}").unwrap();
        for exchange in [host.get("/metadata").send(), host.get("/body").header("x-json", text.as_str()).send()] {
            let got = got(&exchange);
            let named = got.contains("nested too deeply for the module's stack");
            assert!(if depth < 15 { got == "read" } else { got == "read" || named }, "{depth}: {exchange}");
        }
    }
}

#[proxy_filter_host::test(guest = "exhaustion")]
fn a_failed_allocation_is_named_in_the_log(mut host: Host) {
    host.configure("{}").unwrap();
    let exchange = host.get("/reserve/2000000000").send();
    assert_eq!(got(&exchange), "true", "{exchange}");
    assert!(exchange.messages().concat().contains("out of memory"), "{exchange}");
    assert_eq!(got(&host.get("/allocate/1000000").send()), "1000000", "the VM lives on");
}

#[proxy_filter_host::test(guest = "exhaustion")]
fn a_trap_without_memory_names_its_cause(mut host: Host) {
    host.configure("{}").unwrap();
    let exchange = host.get("/allocate/2000000000").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    assert!(exchange.messages().concat().contains("out of memory"), "{exchange}");
    exchange.expect_error("it logged: out of memory");
}

#[test]
fn a_stack_overflow_is_named_in_the_trace() {
    let mut host = Host::for_module(&module());
    host.configure("{}").unwrap();
    assert_eq!(host.get("/recurse/100").send().status(), 200);
    let exchange = host.get("/recurse/100000").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    let trace = exchange.to_string();
    assert!(trace.contains("stack overflow") && trace.contains("the stack of 49152 bytes"), "{trace}");
    assert!(trace.contains("-zstack-size"), "{trace}");
    exchange.expect_error("stack overflow");
}

/// Returns the number of these requests that caused a log line, and the lines.
fn flood(host: &mut Host, path: &str, requests: usize) -> Vec<String> {
    (0..requests)
        .flat_map(|_| host.get(path).send().messages().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

// In Envoy, time is real, and the rate of requests depends on the machine.
#[proxy_filter_host::test(guest = "exhaustion", embedded)]
fn log_lines_that_a_client_causes_are_rate_limited(mut host: Host) {
    host.configure(json!({})).unwrap();
    host.expect_error("on_request_headers of context");
    for (path, burst, limit) in [("/warn/1", 10, 40), ("/error/1", 10, 40), ("/fail", 30, 300)] {
        let lines = flood(&mut host, path, 300);
        assert!((burst..limit).contains(&lines.len()), "{path}: {} lines", lines.len());
    }
}

#[test]
fn a_line_has_the_number_of_suppressed_lines_before_it() {
    let mut host = Host::for_module(&module());
    host.configure("{}").unwrap();
    let lines = flood(&mut host, "/warn/7", 40);
    assert!(lines.len() < 40 && lines.first().is_some_and(|line| line == "a line 7"), "{lines:?}");
    let _later = host.advance(Duration::from_secs(60));
    let lines = flood(&mut host, "/warn/7", 1);
    assert!(lines.concat().contains("more suppressed)"), "{lines:?}");
}
