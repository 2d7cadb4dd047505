//! The life of root contexts: new configurations, a delayed end, and several plugins in one VM.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Reply};
use std::time::Duration;

fn lines<'a>(exchange: &'a Outcome, start: &str) -> Vec<&'a str> {
    exchange.messages().into_iter().filter(|line| line.starts_with(start)).collect()
}

#[proxy_filter_host::test(guest = "roots")]
fn a_new_configuration_makes_a_new_root_before_the_old_one_ends(mut host: Host) {
    host.vm_configuration("vm");
    host.configure("old").unwrap();
    let update = host.reconfigure("new").unwrap();
    assert_eq!(update.messages(), ["start vm", "configure new", "old root done", "old root drop"], "{update}");
    assert_eq!(
        update.callbacks(),
        ["proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure", "proxy_on_done", "proxy_on_delete"]
    );
    let exchange = host.get("/").send();
    assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("new".into()), "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn a_stream_keeps_the_root_context_that_created_it(mut host: Host) {
    host.configure("old").unwrap();
    let slow = host.get("/slow").before_response(|host| {
        let update = host.reconfigure("new").unwrap();
        assert_eq!(update.messages(), ["start ", "configure new"], "the old root waits: {update}");
        let exchange = host.get("/fast").send();
        assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("new".into()), "{exchange}");
        assert_eq!(exchange.response().header("x-filters"), Some("new".into()), "{exchange}");
    });
    let exchange = slow.send();
    assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("old".into()), "{exchange}");
    assert_eq!(exchange.response().header("x-filters"), Some("old".into()), "{exchange}");
    assert!(exchange.messages().ends_with(&["old done", "old delete", "old root done", "old root drop"]), "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn requests_may_overlap(mut host: Host) {
    host.configure("only").unwrap();
    let outer = host.post("/outer").body("12345").before_response(|host| {
        let inner = host.get("/inner").before_response(|host| {
            assert_eq!(host.get("/innermost").send().status(), 200);
        });
        assert_eq!(inner.send().status(), 200);
    });
    let exchange = outer.send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header(":path"), Some("/outer".into()));
    assert_eq!(exchange.messages().iter().filter(|line| **line == "only log").count(), 1, "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn before_response_does_not_run_without_an_upstream_request(mut host: Host) {
    host.configure("a").unwrap();
    let exchange = host.get("/a-replies").before_response(|_| panic!("the upstream has no request")).send();
    assert_eq!(exchange.status(), 403, "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn a_refused_configuration_does_not_replace_the_old_one(mut host: Host) {
    host.configure("old").unwrap();
    host.reconfigure("new refuse").unwrap_err();
    let exchange = host.get("/").send();
    assert_eq!(exchange.upstream().unwrap().header("x-filters"), Some("old".into()), "{exchange}");
    assert_eq!(lines(&exchange, "old root"), Vec::<&str>::new());
}

#[proxy_filter_host::test(guest = "roots")]
fn a_root_context_that_is_not_done_is_notified_of_items_until_it_is_done(mut host: Host) {
    host.configure("old stay queue").unwrap();
    let update = host.reconfigure("new").unwrap();
    assert_eq!(update.messages(), ["start ", "configure new", "old root done"], "{update}");
    let exchange = host.get("/enqueue/work").send();
    assert_eq!(lines(&exchange, "old"), ["old takes work"], "{exchange}");
    let exchange = host.get("/enqueue/done").send();
    assert_eq!(lines(&exchange, "old"), ["old takes done", "old is done: Ok(())", "old root drop"], "{exchange}");
    assert_eq!(lines(&exchange, "again"), ["again: Err(NotFound)"]);
}

#[proxy_filter_host::test(guest = "roots")]
fn a_root_that_is_not_done_may_set_a_tick(mut host: Host) {
    host.configure("old stay tick-at-the-end").unwrap();
    let _ = host.reconfigure("new").unwrap();
    let meanwhile = host.advance(Duration::from_millis(700));
    assert_eq!(lines(&meanwhile, "old"), ["old ticks"], "{meanwhile}");
}

#[proxy_filter_host::test(guest = "roots")]
fn a_root_that_is_not_done_ticks_as_before(mut host: Host) {
    host.configure("old stay slow-tick").unwrap();
    let _ = host.reconfigure("new").unwrap();
    let meanwhile = host.advance(Duration::from_secs(6));
    assert_eq!(lines(&meanwhile, "old"), ["old ticks"], "{meanwhile}");
}

#[proxy_filter_host::test(guest = "roots")]
fn only_a_root_context_with_a_delayed_end_can_be_done(mut host: Host) {
    host.configure("a").unwrap();
    let exchange = host.get("/done").send();
    assert_eq!(lines(&exchange, "a is not done"), ["a is not done: Err(NotFound)"], "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn plugins_of_one_vm_run_in_order_for_requests_and_in_reverse_for_responses(mut host: Host) {
    host.root_id("first");
    host.plugin("second", "b");
    host.configure("a").unwrap();
    host.upstream(|_| Reply::new(200).body("body"));
    let exchange = host.post("/").body("data").send();
    assert_eq!(exchange.upstream().unwrap().header_values("x-filters"), ["a", "b"], "{exchange}");
    assert_eq!(exchange.response().header_values("x-filters"), ["b", "a"], "{exchange}");
    assert_eq!(
        exchange.messages(),
        [
            "a create",
            "a request headers",
            "b create",
            "b request headers",
            "a request body 4 false",
            "b request body 4 false",
            "a request body 0 true",
            "b request body 0 true",
            "b response headers",
            "a response headers",
            "b response body 4 false",
            "a response body 4 false",
            "b response body 0 true",
            "a response body 0 true",
            "a log",
            "b log",
            "a done",
            "a delete",
            "b done",
            "b delete",
        ],
        "{exchange}"
    );
}

#[proxy_filter_host::test(guest = "roots")]
fn trailers_run_through_every_plugin(mut host: Host) {
    host.plugin("second", "b");
    host.configure("a").unwrap();
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    let exchange = host.post("/").chunks(["data"]).trailer("x-t", "1").send();
    let trailers: Vec<_> = exchange.messages().into_iter().filter(|line| line.ends_with("trailers")).collect();
    assert_eq!(
        trailers,
        ["a request trailers", "b request trailers", "b response trailers", "a response trailers"],
        "{exchange}"
    );
}

#[proxy_filter_host::test(guest = "roots")]
fn a_local_reply_keeps_the_request_from_the_next_filter(mut host: Host) {
    host.plugin("second", "b");
    host.configure("a").unwrap();
    let exchange = host.get("/a-replies").send();
    assert_eq!(exchange.status(), 403);
    assert_eq!(lines(&exchange, "b"), ["b create", "b log", "b done", "b delete"], "{exchange}");
    let exchange = host.get("/b-replies").send();
    assert_eq!(exchange.response().header_values("x-filters"), ["b", "a"], "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn a_local_reply_in_the_response_skips_the_other_filters(mut host: Host) {
    host.plugin("second", "b");
    host.configure("a").unwrap();
    for path in ["/a-replies-late", "/b-replies-late"] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), 502, "{exchange}");
    }
}

#[proxy_filter_host::test(guest = "roots")]
fn a_new_configuration_of_the_first_plugin_does_not_affect_the_second(mut host: Host) {
    host.plugin("second", "b");
    host.configure("a").unwrap();
    let update = host.reconfigure("c").unwrap();
    assert_eq!(update.messages(), ["start ", "configure c", "a root done", "a root drop"], "{update}");
    let exchange = host.get("/").send();
    assert_eq!(exchange.upstream().unwrap().header_values("x-filters"), ["c", "b"], "{exchange}");
}

#[proxy_filter_host::test(guest = "roots")]
fn an_access_logger_logs_in_its_root_context(mut host: Host) {
    host.access_logger();
    host.configure("a").unwrap();
    let exchange = host.get("/x").send();
    assert_eq!(exchange.messages(), ["a logs /x 200 via_upstream"], "{exchange}");
    assert_eq!(exchange.callbacks(), ["proxy_on_log"]);
    let exchange = host.get("/x").without_authority().send();
    assert_eq!(exchange.messages(), ["a logs /x 400 missing_host_header"], "{exchange}");
    let exchange = host.get("/fail").send();
    exchange.expect_error("on_log of context 1 failed: the log failed as asked");
    assert_eq!(exchange.status(), 200);
}

#[proxy_filter_host::test(guest = "roots")]
fn an_access_logger_takes_a_new_configuration(mut host: Host) {
    host.access_logger();
    host.configure("a").unwrap();
    let _ = host.reconfigure("b").unwrap();
    let exchange = host.get("/x").send();
    assert_eq!(exchange.messages(), ["b logs /x 200 via_upstream"], "{exchange}");
}

/// Runs streams of a filter called `a` that resets them in each of its callbacks.
fn closes(mut host: Host, http2: bool) {
    host.configure("a").unwrap();
    host.upstream(|_| Reply::new(200).chunks(["body"]).trailer("x-t", "1"));
    for phase in ["request", "request-body", "request-trailers", "response", "response-body", "response-trailers"] {
        let request = host.post(&format!("/a-closes-{phase}")).chunks(["data"]).trailer("x-t", "1");
        let exchange = if http2 { request.http2().send() } else { request.send() };
        assert!(!exchange.response().complete, "{phase}: {exchange}");
        assert_eq!(exchange.messages().iter().rev().take(3).collect::<Vec<_>>(), [&"a delete", &"a done", &"a log"]);
        let last = exchange.messages().iter().rev().nth(3).copied().unwrap_or_default().replace(' ', "-");
        let headers = if phase.contains('-') { "" } else { "-headers" };
        assert!(last.starts_with(&format!("a-{phase}{headers}")), "{phase}, then {last}: {exchange}");
    }
}

#[proxy_filter_host::test(guest = "roots")]
fn a_closed_stream_has_only_the_callbacks_of_its_end(host: Host) {
    closes(host, false);
}

#[proxy_filter_host::test(guest = "roots")]
fn a_closed_stream_of_http2_is_reset(host: Host) {
    closes(host, true);
}

#[proxy_filter_host::test(guest = "roots")]
fn a_closed_request_without_a_body_is_reset_before_its_end_callbacks(mut host: Host) {
    host.configure("a").unwrap();
    let exchange = host.get("/a-closes-request").send();
    assert_eq!(exchange.status(), 0, "{exchange}");
    assert_eq!(exchange.messages(), ["a create", "a request headers", "a log", "a done", "a delete"], "{exchange}");
}
