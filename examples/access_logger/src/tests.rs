//! What an operator reads in the log.

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Reply};

/// The plugin as envoy.yaml has it.
fn start(host: &mut Host) {
    host.access_logger();
    host.configure(r#"{"quiet": ["/healthz"]}"#).unwrap();
}

#[proxy_filter_host::test]
fn a_request_is_a_line_of_json(mut host: Host) {
    start(&mut host);
    let exchange = host.post("/a?b=\"c\"").body("data").send();
    assert_eq!(
        exchange.messages(),
        [r#"{"method":"POST","path":"/a?b=\"c\"","status":200,"details":"via_upstream"}"#],
        "{exchange}"
    );
}

#[proxy_filter_host::test]
fn successful_responses_to_quiet_paths_are_not_logged(mut host: Host) {
    start(&mut host);
    host.upstream(|request| Reply::new(if request.header("x-fail").is_some() { 503 } else { 200 }));
    let exchange = host.get("/healthz").send();
    assert!(exchange.messages().is_empty(), "{exchange}");
    let exchange = host.get("/healthz").header("x-fail", "1").send();
    assert_eq!(exchange.logs()[0].level, LogLevel::Warn, "{exchange}");
    assert_eq!(host.metric("access_logged.class.2xx"), Some(1));
    assert_eq!(host.metric("access_logged.class.5xx"), Some(1));
}

#[proxy_filter_host::test]
fn a_request_that_no_filter_sees_is_logged(mut host: Host) {
    start(&mut host);
    let exchange = host.get("/").without_authority().send();
    assert_eq!(
        exchange.messages(),
        [r#"{"method":"GET","path":"/","status":400,"details":"missing_host_header"}"#],
        "{exchange}"
    );
}

#[proxy_filter_host::test]
fn bytes_that_are_not_utf8_are_logged_with_replacement_characters(mut host: Host) {
    start(&mut host);
    let exchange = host.get("/").header("x", b"\xff").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.messages().len(), 1);
}

#[proxy_filter_host::test]
fn an_unknown_field_is_refused(mut host: Host) {
    host.access_logger();
    let refused = host.configure(r#"{"quit": []}"#).unwrap_err();
    assert!(refused.to_string().contains("unknown field `quit`"), "{refused}");
}
