//! Preflight requests, and headers of responses.

use proxy_filter_host::{Host, Reply};
use serde_json::json;

const APP: &str = "https://app.example";

fn configure(host: &mut Host) {
    let policy = json!({
        "origins": [APP, "https://*.shop.example"], "methods": ["PUT"], "headers": ["content-type"],
        "expose": ["x-total"], "credentials": true, "max_age": 600,
    });
    host.configure(policy).unwrap();
}

#[proxy_filter_host::test]
fn preflight_requests_get_a_local_reply(mut host: Host) {
    configure(&mut host);
    for (origin, method, names, expected) in [
        (APP, "PUT", "content-type", 204),
        ("https://eu.shop.example", "POST", "Content-Type", 204),
        ("https://evil.example", "PUT", "content-type", 403),
        ("https://app.example.evil.example", "PUT", "content-type", 403),
        (APP, "DELETE", "content-type", 403),
        (APP, "PUT", "x-secret", 403),
    ] {
        let request = host.request("OPTIONS", "/").header("origin", origin);
        let request = request.header("access-control-request-method", method);
        let exchange = request.header("access-control-request-headers", names).send();
        assert_eq!((exchange.status(), exchange.upstream()), (expected, None), "{exchange}");
        let header = |name| exchange.response().header(name).map(|value| value.to_string());
        let allowed = |value: &str| (expected == 204).then(|| value.to_owned());
        assert_eq!(header("access-control-allow-origin"), allowed(origin), "{exchange}");
        assert_eq!(header("access-control-allow-methods"), allowed(method), "{exchange}");
        assert_eq!(header("access-control-max-age"), allowed("600"), "{exchange}");
        assert!(header("vary").unwrap().contains("origin"), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn responses_have_the_headers_of_the_policy_and_not_those_of_the_upstream(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| {
        let reply = Reply::new(200).header("access-control-allow-origin", "*").header("vary", "accept-encoding");
        reply.header("access-control-allow-methods", "DELETE")
    });
    for (origin, expected) in
        [(Some(APP), true), (Some("https://evil.example"), false), (Some("null"), false), (None, false)]
    {
        // Without `access-control-request-method` this is a plain request.
        let request = host.request("OPTIONS", "/");
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        let exchange = request.send();
        let values = |name| exchange.response().header_values(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        let allowed: Vec<_> = origin.filter(|_| expected).into_iter().map(str::to_owned).collect();
        assert_eq!(values("access-control-allow-origin"), allowed, "{exchange}");
        assert_eq!(values("access-control-allow-methods"), [""; 0], "{exchange}");
        assert_eq!(values("access-control-expose-headers").len(), usize::from(expected), "{exchange}");
        assert_eq!(values("vary").join(",").replace(", ", ","), "accept-encoding,origin", "{exchange}");
    }
}

#[proxy_filter_host::test]
fn unsafe_policies_are_refused_with_the_field(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "origins": ["app.example"] }), "origins: the origin `app.example`"),
        (json!({ "origins": ["*"], "credentials": true }), "credentials: "),
        (json!({ "origins": [APP], "methods": ["A B"] }), "methods[0]: "),
        (json!({ "origins": [APP], "headers": ["a:b"] }), "headers[0]: "),
        (json!({ "origins": [APP], "expose": [""] }), "expose[0]: "),
        (json!({ "origin": APP }), "origin"),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
