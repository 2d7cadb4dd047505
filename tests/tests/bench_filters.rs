//! The three bench filters of each behaviour do the same, so that their costs can be compared.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome, Reply, build_guest};
use std::path::Path;

const MAKERS: [&str; 3] = ["floor", "ours", "peer"];

fn host(maker: &str, filter: &str) -> Host {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = format!("proxy-filter-bench-{maker}");
    // Only ours has async functions.
    let filter =
        if maker == "ours" { filter } else { filter.strip_suffix("_async").map_or(filter, |_| "auth_callout") };
    let path = build_guest(directory, &package, Some(&format!("{maker}_{filter}"))).unwrap();
    let mut host = Host::for_module(&std::fs::read(path).unwrap());
    host.cluster("authz", |call| match call.header("authorization") {
        Some(token) if token.starts_with(b"Bearer ") => Reply::new(200).header("x-user", "alice"),
        _ => Reply::new(403),
    });
    host.upstream(|_| {
        Reply::new(200).header("server", "upstream/1.0").header("etag", "\"1\"").body("the upstream's answer\n")
    });
    host
}

/// Returns everything of an exchange that is visible outside of the proxy.
fn visible(exchange: &Outcome) -> String {
    let logs: Vec<_> = exchange.logs().iter().map(|line| (line.level, line.message.clone())).collect();
    format!("{:#?}\n{:#?}\n{logs:#?}", exchange.response(), exchange.upstream())
}

/// Runs one exchange through the filter of each maker, and returns the visible result if it is the
/// same.
fn play(filter: &str, exchange: impl Fn(&mut Host) -> Outcome) -> Outcome {
    let [floor, ours, peer] = MAKERS.map(|maker| exchange(&mut host(maker, filter)));
    assert_eq!(visible(&floor), visible(&ours), "{filter}: by hand and on this SDK");
    assert_eq!(visible(&peer), visible(&ours), "{filter}: on the peer and on this SDK");
    ours
}

fn post(host: &mut Host) -> Outcome {
    host.post("/").header("authorization", "Bearer alice").header("accept", "*/*").body("question").http2().send()
}

#[test]
fn noop_changes_nothing() {
    let exchange = play("noop", post);
    assert_eq!(exchange.response().text(), "the upstream's answer\n");
}

#[test]
fn add_header_adds_a_response_header() {
    let exchange = play("add_header", post);
    assert_eq!(exchange.response().header("x-filter"), Some("bench".into()));
}

#[test]
fn check_auth_forwards_the_token_as_the_user() {
    let exchange = play("check_auth", post);
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header("x-user"), Some("alice".into()));
    assert_eq!(upstream.header("authorization"), None);
}

#[test]
fn check_auth_refuses_requests_without_a_token() {
    for authorization in ["", "Basic YTpi", "bearer alice"] {
        let exchange = play("check_auth", |host| host.get("/").header("authorization", authorization).send());
        assert_eq!(exchange.status(), 401, "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()));
        assert!(exchange.upstream().is_none());
    }
    assert_eq!(play("check_auth", |host| host.get("/").send()).status(), 401);
}

#[test]
fn body_rewrite_replaces_the_body_in_any_chunks() {
    let exchange = play("body_rewrite", post);
    assert_eq!(exchange.response().text(), "rewritten by a filter\n");
    let in_pieces = play("body_rewrite", |host| {
        host.upstream(|_| Reply::new(200).chunks(["one", "two", "three"]));
        host.get("/").send()
    });
    assert_eq!(in_pieces.response().text(), "rewritten by a filter\n");
    let empty = play("body_rewrite", |host| {
        host.upstream(|_| Reply::new(204));
        host.get("/").send()
    });
    assert_eq!(empty.response().text(), "");
}

#[test]
fn dump_headers_logs_every_header_of_both_sides() {
    let exchange = play("dump_headers", post);
    let lines = exchange.messages();
    assert!(lines.contains(&"authorization: Bearer alice"), "{exchange}");
    assert!(lines.contains(&"server: upstream/1.0"), "{exchange}");
}

#[test]
fn auth_callout_forwards_the_user_that_the_service_names() {
    for filter in ["auth_callout", "auth_async"] {
        let exchange = play(filter, post);
        assert_eq!(exchange.upstream().unwrap().header("x-user"), Some("alice".into()));
        assert_eq!(exchange.calls("authz").len(), 1);
        let exchange = play(filter, |host| host.get("/").send());
        assert_eq!((exchange.status(), exchange.response().text().as_str()), (403, "denied\n"));
    }
}
