//! Equivalent requests and others.

use proxy_filter_host::{Host, Outcome};
use serde_json::json;

fn configure(host: &mut Host) {
    host.configure(json!({ "ignore": ["utm_*", "gclid"], "codings": ["br", "gzip"] })).unwrap();
}

fn sent(exchange: &Outcome) -> (String, String) {
    let received = exchange.upstream().unwrap();
    (received.header(":path").unwrap().to_string(), received.header("accept-encoding").unwrap_or_default().to_string())
}

#[proxy_filter_host::test]
fn equivalent_requests_have_one_form(mut host: Host) {
    configure(&mut host);
    for (path, expected) in [
        ("/a?b=2&a=1", "/a?a=1&b=2"),
        ("/x/../%61?a=1&utm_source=mail&b=2&gclid=7", "/a?a=1&b=2"),
        ("/a?%75tm_source=mail", "/a"),
        ("/a?b=2&a=1&b=1", "/a?a=1&b=2&b=1"),
        ("/a?", "/a"),
        ("/a%2fb?c", "/a%2Fb?c"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        // A path without a normal form.
        ("/%zz/../a?b&a", "/%zz/../a?a&b"),
    ] {
        assert_eq!(sent(&host.get(path).send()).0, expected, "{path}");
    }
}

#[proxy_filter_host::test]
fn the_upstream_gets_one_content_coding(mut host: Host) {
    configure(&mut host);
    for (accepted, expected) in [
        ("br;q=0.9, gzip, *", "gzip"),
        ("gzip, br", "br"),
        ("gzip;q=0, br;q=0", "identity"),
        ("zstd", "identity"),
        ("", "identity"),
    ] {
        let exchange = host.get("/").header("accept-encoding", accepted).send();
        assert_eq!(sent(&exchange).1, expected, "{accepted}: {exchange}");
    }
    assert_eq!(sent(&host.get("/").send()).1, "identity");
}

#[proxy_filter_host::test]
fn other_methods_are_forwarded_unchanged(mut host: Host) {
    configure(&mut host);
    let exchange = host.post("/x/../a?b&a&utm_source=m").header("accept-encoding", "zstd").body("x").send();
    assert_eq!(sent(&exchange), ("/x/../a?b&a&utm_source=m".to_owned(), "zstd".to_owned()), "{exchange}");
}
