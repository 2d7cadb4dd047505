//! Redirects and rewritten paths.

use proxy_filter_host::Host;
use serde_json::json;

fn configure(host: &mut Host) {
    let rules = json!([
        { "from": "/old/*", "to": "/new/*", "status": 301 },
        { "from": "/legacy*", "to": "/*", "status": 302 },
        { "from": "/one", "to": "/two" },
        { "from": "/api/v1/*", "to": "/*" },
        { "from": "/docs/*", "to": "/gone", "status": 303 },
    ]);
    host.configure(json!({ "rules": rules })).unwrap();
}

#[proxy_filter_host::test]
fn redirects_keep_the_rest_of_the_path_and_the_query(mut host: Host) {
    configure(&mut host);
    for (path, status, location) in [
        ("/old/a/b?c=/d&e", 301, "/new/a/b?c=/d&e"),
        ("/old/", 301, "/new/"),
        ("/%6fld/./a", 301, "/new/a"),
        ("/legacy/a?b", 302, "/a?b"),
        ("/docs/a/b?c", 303, "/gone?c"),
        // No other host.
        ("/old//evil.example/", 301, "/new/evil.example/"),
        ("/legacy//evil.example", 302, "/evil.example"),
        ("/legacy/..//evil.example/../x/..", 200, ""),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.status(), status, "{path}: {exchange}");
        let header = exchange.response().header("location").map(|value| value.to_string());
        assert_eq!(header.unwrap_or_default(), location, "{path}: {exchange}");
    }
}

#[proxy_filter_host::test]
fn rewritten_paths_reach_the_upstream(mut host: Host) {
    configure(&mut host);
    for (path, expected) in [
        ("/one?a=%20b", "/two?a=%20b"),
        ("/api/v1/users/7?a", "/users/7?a"),
        ("/api/v1/", "/"),
        ("/x/../api/v1/a", "/a"),
        // No rule matches.
        ("/one/two", "/one/two"),
        ("/x/../y", "/x/../y"),
    ] {
        let exchange = host.get(path).send();
        assert_eq!(exchange.upstream().unwrap().header(":path").unwrap(), expected, "{exchange}");
    }
    for path in ["/api/v1/..%2fadmin", "/old/%00", "/%zz"] {
        assert_eq!(host.get(path).send().status(), 400, "{path}");
    }
}

#[proxy_filter_host::test]
fn other_hosts_and_schemes_are_redirected(mut host: Host) {
    host.configure(json!({ "host": "www.example", "https": true })).unwrap();
    for (authority, path) in [("www.example", "/a?b"), ("example", "/a?b"), ("evil.example", "//evil.example/..//a?b")]
    {
        let exchange = host.get(path).authority(authority).send();
        assert_eq!(exchange.status(), 308, "{exchange}");
        assert_eq!(exchange.response().header("location").unwrap(), "https://www.example/a?b", "{exchange}");
    }
    host.configure(json!({ "host": "www.example" })).unwrap();
    assert_eq!(host.get("/").authority("WWW.example").send().status(), 200);
    assert_eq!(host.get("/").authority("www.example:81").send().status(), 308);
}

#[proxy_filter_host::test]
fn unsafe_rules_are_refused_with_the_field(mut host: Host) {
    let rule = |from, to, status: u16| json!({ "rules": [{ "from": from, "to": to, "status": status }] });
    for (configuration, expected) in [
        (json!({ "https": true }), "https: "),
        (rule("/a", "/b*", 301), "rules[0].to: "),
        (rule("/a/*", "//*", 301), "rules[0].to: "),
        (rule("/a/*", "/\\*", 301), "rules[0].to: "),
        (rule("/a/*", "/b/*", 200), "rules[0].status: "),
        (rule("a", "/b", 301), "rules[0].from: "),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
