//! The effects of a filter, as the client, the upstream and the log show them: the same in the
//! embedded host and in Envoy.

use proxy_filter::log::LogLevel;
use proxy_filter_host::{Host, Received, Reply};

/// Returns the log lines of the start, without the contexts.
fn start_messages(host: &Host) -> Vec<String> {
    host.start_logs().into_iter().map(|line| line.message).collect()
}

#[proxy_filter_host::test(guest = "by_path")]
fn the_life_of_a_stream_has_its_order(mut host: Host) {
    host.upstream(|_| Reply::new(200).body("body"));
    let exchange = host.post("/life").body("data").send();
    assert_eq!(
        exchange.callbacks(),
        [
            "proxy_on_context_create",
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_request_body",
            "proxy_on_response_headers",
            "proxy_on_response_body",
            "proxy_on_response_body",
            "proxy_on_log",
            "proxy_on_done",
            "proxy_on_delete"
        ],
        "{exchange}"
    );
    assert!(exchange.messages().ends_with(&["done", "delete", "drop"]), "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn both_configurations_are_read(mut host: Host) {
    host.vm_configuration("for the VM");
    host.configure("for the plugin \u{e9}").unwrap();
    let messages = start_messages(&host);
    assert_eq!(messages[..2], ["start: for the VM", "configure: for the plugin \u{e9}"]);
}

#[proxy_filter_host::test(guest = "by_path")]
fn lines_below_the_hosts_level_are_not_logged(mut host: Host) {
    host.log_level(LogLevel::Warn);
    host.configure("").unwrap();
    assert_eq!(start_messages(&host), ["a warn line", "an error line", "a critical line"]);
    let exchange = host.get("/echo").send();
    assert_eq!(exchange.messages(), Vec::<&str>::new());
}

#[proxy_filter_host::test(guest = "by_path")]
fn every_log_level_is_that_of_the_host(mut host: Host) {
    host.configure("x").unwrap();
    let logs = host.start_logs();
    let levels: Vec<_> = logs.iter().skip(2).map(|line| line.level).collect();
    assert_eq!(
        levels,
        [LogLevel::Trace, LogLevel::Debug, LogLevel::Warn, LogLevel::Error, LogLevel::Critical],
        "{logs:?}"
    );
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_refused_configuration_has_its_reason(mut host: Host) {
    host.configure("refuse").unwrap_err();
    assert!(
        start_messages(&host)
            .iter()
            .any(|line| line.starts_with("on_configure of context 1 failed: refused as configured"))
    );
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_panic_while_configuring_is_logged_with_its_place(mut host: Host) {
    host.configure("panic").unwrap_err();
    let messages = start_messages(&host);
    let line = messages.iter().find(|line| line.contains(" panicked at ")).expect("the panic is logged");
    assert!(line.contains("by_path.rs:"), "{line}");
    assert!(
        line.starts_with("on_configure of context 1 panicked at ") && line.ends_with(": panicked as configured"),
        "{line}"
    );
}

#[proxy_filter_host::test(guest = "by_path")]
fn header_bytes_reach_the_filter_and_the_upstream_unchanged(mut host: Host) {
    let large = "v".repeat(60 * 1024);
    let mut request = host.get("/echo").header("x-raw", b"\xff\xfe").header("x-empty", "").header("x-large", &large);
    for number in 0..300 {
        request = request.header(format!("x-{number}"), number.to_string());
    }
    let exchange = request.header("x-many", "1").header("x-many", "2").header("x-many", "1").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    for line in [
        "311 pairs, end of stream true",
        "largest value 61440",
        "x-many 3",
        "method Some(\"GET\") authority Some(\"example.com\") scheme Some(\"http\")",
        "x-empty Some(\"\"), missing None",
    ] {
        assert!(exchange.messages().contains(&line), "{line}: {:?}", exchange.messages());
    }
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header("x-raw").unwrap(), b"\xff\xfe");
    assert_eq!(upstream.header("x-empty").unwrap(), "");
    assert_eq!(upstream.header("x-large").unwrap().len(), large.len());
    assert_eq!(upstream.header("x-299").unwrap(), "299");
    assert_eq!(upstream.header_values("x-many"), ["1", "2", "1"]);
}

#[proxy_filter_host::test(guest = "by_path")]
fn request_headers_are_added_replaced_and_removed(mut host: Host) {
    let request = host.get("/edit").header("accept", "*/*").header("x-removed", "1").header("x-replaced", "1");
    let exchange = request.header("X-Replaced", "2").header("x-Removed", "2").send();
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header_values("x-added"), ["1", "2"], "{exchange}");
    assert_eq!(upstream.header_values("x-replaced"), ["new"]);
    assert_eq!(upstream.header_values("x-created"), ["new"]);
    assert_eq!(upstream.header("x-removed"), None);
    assert_eq!(upstream.header("accept"), Some("*/*,text/html".into()), "Envoy joins this one");
}

#[proxy_filter_host::test(guest = "by_path")]
fn the_whole_map_can_be_set(mut host: Host) {
    let exchange = host.get("/set-pairs").header("x-keep", "1").header("x-drop", "2").header("x-keep", "3").send();
    let upstream = exchange.upstream().unwrap_or_else(|| panic!("{exchange}"));
    assert_eq!(upstream.header_values("x-keep"), ["1", "3"], "{exchange}");
    assert_eq!(upstream.header("x-drop"), None);
    assert_eq!(upstream.headers.iter().filter(|(name, _)| name == b"x-keep" || name == b"x-drop").count(), 2);
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_request_without_x_forwarded_proto_has_no_route(mut host: Host) {
    let exchange = host.get("/no-proto").send();
    assert_eq!(exchange.status(), 404, "{exchange}");
    let exchange = host.post("/no-proto").chunks(["a", "b"]).send();
    assert_eq!(exchange.status(), 404, "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_map_beyond_the_hosts_limit_is_an_error_and_changes_nothing(mut host: Host) {
    let exchange = host.get("/too-many").header("x-a", "1").send();
    assert!(exchange.messages().contains(&"Err(TooLarge)"), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header("x-a"), Some("1".into()));
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_header_that_would_split_the_message_is_an_error(mut host: Host) {
    let exchange = host.get("/crlf").send();
    let refused = exchange.messages().iter().filter(|line| **line == "Err(InvalidInput)").count();
    assert_eq!(refused, 4, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header("x-b"), None);
}

#[proxy_filter_host::test(guest = "by_path")]
fn the_path_can_be_changed(mut host: Host) {
    for http2 in [false, true] {
        let request = host.get("/new-path");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.upstream().unwrap().header(":path"), Some("/other?x=1".into()), "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "by_path")]
fn properties_are_read_and_set(mut host: Host) {
    host.root_id("the root");
    let exchange = host.get("/property").header("x-a", "1").header("x-a", "2").send();
    for line in [
        r#"["request", "path"] Some("/property")"#,
        r#"["plugin_name"] Some("plugin")"#,
        r#"["plugin_root_id"] Some("the root")"#,
        r#"["nothing"] None"#,
        r#"["request", "headers", "x-a"] Some("1,2")"#,
        r#"Some("seen")"#,
    ] {
        assert!(exchange.messages().contains(&line), "{line}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_local_reply_with_a_body(mut host: Host) {
    for http2 in [false, true] {
        let request = host.get("/reply");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.status(), 418, "{exchange}");
        assert_eq!(exchange.response().header_values("x-a"), ["1", "2"]);
        assert_eq!(exchange.response().header("content-type"), Some("text/plain".into()));
        assert_eq!(exchange.response().text(), "tea\n");
        assert!(exchange.upstream().is_none());
    }
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_local_reply_without_a_body(mut host: Host) {
    let exchange = host.get("/reply-empty").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    let exchange = host.get("/reply-empty").http2().send();
    assert_eq!(exchange.status(), 403, "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_local_reply_with_its_own_content_type(mut host: Host) {
    let exchange = host.get("/reply-type").send();
    assert_eq!(exchange.response().header_values("content-type"), ["application/json"], "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_header_that_would_split_a_local_reply_is_omitted(mut host: Host) {
    let exchange = host.get("/reply-bad").send();
    assert_eq!((exchange.status(), exchange.response().header("x")), (200, None), "{exchange}");
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_error_affects_one_stream_and_the_same_vm_serves_the_next(mut host: Host) {
    let exchange = host.get("/fail").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("on_request_headers of context 2 failed: failed as asked; the client gets a 500");
    let exchange = host.get("/fine").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert!(exchange.messages().contains(&"create"));
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_error_in_the_request_body_is_a_500(mut host: Host) {
    let exchange = host.post("/request-body-fail").chunks(["a", "b"]).send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    exchange.expect_error("on_request_body of context 2 failed: body failed as asked; the client gets a 500");
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_error_in_the_response_headers_is_a_500(mut host: Host) {
    let exchange = host.get("/response-fail").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    assert_eq!(exchange.response().text(), "");
    exchange.expect_error("response failed as asked; the client gets a 500");
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_error_after_the_response_headers_resets_the_response(mut host: Host) {
    host.upstream(|_| Reply::new(200).chunks(["one", "two"]));
    for http2 in [false, true] {
        let request = host.get("/response-body-fail");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert!(!exchange.response().complete, "{exchange}");
        exchange.expect_error("response body failed as asked; the stream is reset");
    }
    assert_eq!(host.get("/fine").send().status(), 200);
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_filter_that_fails_open_resumes_the_stream(mut host: Host) {
    for path in ["/open-fail", "/open-response-fail"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        exchange.expect_error("failed as asked; the stream continues");
    }
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_error_in_on_log_is_logged(mut host: Host) {
    let exchange = host.get("/log-fail").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    exchange.expect_error("on_log of context 2 failed: log failed as asked");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_panic_is_a_503_for_this_and_every_later_stream_and_is_logged(mut host: Host) {
    let exchange = host.get("/panic").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    let messages = exchange.messages();
    let line = messages.iter().find(|line| line.contains(" panicked at ")).expect("the panic is logged");
    assert!(
        line.starts_with("on_request_headers of context 2 panicked at ") && line.ends_with(": panicked as asked"),
        "{line}"
    );
    assert!(!exchange.callbacks().contains(&"proxy_on_delete"), "{exchange}");
    exchange.expect_error("panicked as asked");
    assert_eq!(host.get("/fine").send().status(), 503);
}

#[proxy_filter_host::test(guest = "by_path")]
fn response_headers_are_edited(mut host: Host) {
    host.upstream(|_| Reply::new(200).header("x-removed", "1").header("vary", "origin").header("set-cookie", "c=3"));
    let exchange = host.get("/response-edit").send();
    assert_eq!(exchange.status(), 201, "{exchange}");
    assert_eq!(exchange.response().header_values("set-cookie"), ["c=3", "a=1", "b=2"]);
    assert_eq!(exchange.response().header("vary"), Some("origin,accept".into()));
    assert_eq!(exchange.response().header("x-removed"), None);
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_reply_in_place_of_the_upstreams_response(mut host: Host) {
    let exchange = host.get("/response-reply").send();
    assert_eq!(exchange.status(), 502, "{exchange}");
    assert_eq!(exchange.response().text(), "replaced\n");
    let calls = exchange.callbacks().iter().filter(|name| **name == "proxy_on_response_headers").count();
    assert_eq!(calls, 1, "the callback is not called for its own replacement");
}

#[proxy_filter_host::test(guest = "by_path")]
fn paused_response_headers_can_be_replaced_by_a_local_reply(mut host: Host) {
    host.allow_on_headers_stop_iteration(true);
    let exchange = host.get("/response-hold").send();
    assert_eq!(exchange.status(), 500, "{exchange}");
    assert_eq!(exchange.response().text(), "held\n");
}

#[proxy_filter_host::test(guest = "by_path")]
fn a_paused_request_gets_no_response(mut host: Host) {
    let exchange = host.get("/stop").send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test(guest = "by_path")]
fn an_upstream_that_closes_the_connection_is_a_503_from_envoy(mut host: Host) {
    host.upstream(|_| Reply::reset());
    for http2 in [false, true] {
        let request = host.get("/life");
        let exchange = if http2 { request.http2() } else { request }.send();
        assert_eq!(exchange.status(), 503, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "two_roots")]
fn a_root_id_chooses_the_filter(mut host: Host) {
    host.root_id("stamp");
    host.configure("blue").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-stamp"), Some("blue".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "two_roots")]
fn another_root_id_chooses_the_other_filter(mut host: Host) {
    host.root_id("deny");
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 403, "{exchange}");
    assert_eq!(exchange.response().header("x-stamp"), None);
}

#[proxy_filter_host::test(guest = "two_roots")]
fn an_unknown_root_id_is_refused_and_the_known_ones_are_named(mut host: Host) {
    host.root_id("stmap");
    host.configure("").unwrap_err();
    let messages = start_messages(&host);
    assert!(messages.iter().any(|line| line.contains("\"stmap\"; it has \"stamp\", \"deny\"")), "{messages:?}");
}

#[proxy_filter_host::test(guest = "noop")]
fn a_filter_without_callbacks_is_not_entered(mut host: Host) {
    let exchange = host.post("/").body("x").send();
    assert_eq!(exchange.callbacks(), [""; 0], "{exchange}");
    assert_eq!(exchange.upstream().unwrap().body, b"x");
}

#[proxy_filter_host::test(guest = "add_header")]
fn one_header_is_one_host_call(mut host: Host) {
    let exchange = host.get("/").send();
    assert_eq!(exchange.response().header("x-by"), Some("proxy-filter".into()), "{exchange}");
}

/// The data that was buffered before a body callback failed is forwarded with the rest. It is not
/// available at the end.
#[proxy_filter_host::test(guest = "by_path")]
fn nothing_is_buffered_after_a_body_callback_that_failed_under_the_open_policy(mut host: Host) {
    let exchange = host.post("/open-buffered-fail").chunks(["a", "b"]).trailer("x-t", "1").send();
    assert_eq!(exchange.upstream().map(Received::text), Some("ab".into()), "{exchange}");
    let lines: Vec<_> = exchange.messages().into_iter().filter(|line| line.starts_with("request body")).collect();
    assert_eq!(lines, ["request body 1 false", "request body 2 false", "request body 0 true"], "{exchange}");
    assert!(exchange.messages().contains(&"at the end: Ok(0)"), "{exchange}");
    assert!(exchange.messages().contains(&"appended: Err(WrongPhase)"), "{exchange}");
    exchange.expect_error("body failed as asked; the stream continues");
}
