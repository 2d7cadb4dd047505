//! Listed texts in every part of a request, in any encoding and cut anywhere.

use proxy_filter_host::Host;
use serde_json::json;

fn configure(host: &mut Host) {
    host.configure(json!({ "deny": ["union select", "../", "<script"], "max_body": 1000 })).unwrap();
}

#[proxy_filter_host::test]
fn listed_texts_in_the_target_are_refused_in_any_encoding(mut host: Host) {
    configure(&mut host);
    for (path, expected) in [
        ("/?q=union+select", 403),
        ("/?q=UNION%20Select", 403),
        ("/?q=union%2520select", 403),
        ("/a/..%2fb", 403),
        ("/%2e%2e%2fb", 403),
        ("/?q=%3Cscript%3e", 403),
        ("/?q=union-select", 200),
        ("/a..b/", 200),
        ("/?q=100%25&r=%zz", 200),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), expected, "{path}: {exchange}");
        assert_eq!(exchange.upstream().is_some(), expected == 200, "{path}");
    }
}

#[proxy_filter_host::test]
fn listed_texts_in_headers_are_refused(mut host: Host) {
    configure(&mut host);
    for (name, value, expected) in
        [("user-agent", "<ScRiPt>", 403), ("cookie", "a=%3cscript", 403), ("x-a", "script", 200)]
    {
        let exchange = host.get("/").header(name, value).send();
        assert_eq!(exchange.status(), expected, "{name}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn listed_texts_in_bodies_are_refused_wherever_they_are_cut(mut host: Host) {
    configure(&mut host);
    let body = b"a=1&b=Union Select 2";
    for at in 0..body.len() {
        let exchange = host.post("/").chunks([&body[..at], &body[at..]]).send();
        assert_eq!(exchange.status(), 403, "{at}: {exchange}");
    }
    for at in [1, 5, 9] {
        let fine = b"union of unions, select";
        let exchange = host.post("/").chunks([&fine[..at], &fine[at..]]).send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().body, fine, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn bodies_that_are_too_large_or_encoded_are_refused(mut host: Host) {
    configure(&mut host);
    assert_eq!(host.post("/").body(vec![b'a'; 1000]).send().status(), 200);
    assert_eq!(host.post("/").body(vec![b'a'; 1001]).send().status(), 413);
    let exchange = host.post("/").header("content-encoding", "gzip").body("x").send();
    assert_eq!((exchange.status(), exchange.upstream()), (415, None), "{exchange}");
}

#[proxy_filter_host::test]
fn an_empty_text_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "deny": [""], "max_body": 1 })).unwrap_err();
    assert!(refused.to_string().contains("a text of the pattern is empty"), "{refused}");
}
