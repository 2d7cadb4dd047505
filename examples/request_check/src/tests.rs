//! Bodies that are valid, and the faults of others.

use proxy_filter_host::{Host, Outcome, Received};
use serde_json::{Value, json};

fn configure(host: &mut Host) {
    host.allow_on_headers_stop_iteration(true);
    let fields = json!({
        "/email": { "kind": "text", "required": true, "min": 3, "max": 20 },
        "/size": { "kind": "text", "one_of": ["s", "m"] },
        "/gift": { "kind": "boolean" },
        "/items/*/count": { "kind": "number", "min": 1, "max": 9 },
    });
    host.configure(json!({ "fields": fields, "max_body": 6000 })).unwrap();
}

fn send(host: &mut Host, body: &str) -> Outcome {
    let exchange = host.post("/").header("content-type", "application/json; charset=utf-8").chunks([body]).send();
    let received = exchange.upstream().map(Received::text).unwrap_or_default();
    assert_eq!(received == body, exchange.status() == 200, "{body}: {exchange}");
    exchange
}

#[proxy_filter_host::test]
fn valid_bodies_are_forwarded(mut host: Host) {
    configure(&mut host);
    for body in [
        json!({ "email": "a@b" }),
        json!({ "email": "é@example", "size": "m", "gift": true, "items": [{ "count": 1 }, { "count": 9.0 }, {}], "other": [] }),
    ] {
        assert_eq!(send(&mut host, &body.to_string()).status(), 200, "{body}");
    }
    assert_eq!(host.get("/").send().status(), 200);
}

#[proxy_filter_host::test]
fn all_faults_are_in_one_problem_document(mut host: Host) {
    configure(&mut host);
    let body = json!({ "email": "a", "size": "x", "gift": "yes", "items": [{ "count": 0 }, { "count": 1e99 }, { "count": "1" }] });
    let exchange = send(&mut host, &body.to_string());
    assert_eq!(exchange.status(), 422, "{exchange}");
    assert_eq!(exchange.response().header("content-type").unwrap(), "application/problem+json");
    let problem: Value = serde_json::from_str(&exchange.response().text()).unwrap();
    let errors = problem["errors"].as_array().unwrap();
    let texts: Vec<String> = errors.iter().map(|error| format!("{} {}", error["pointer"], error["detail"])).collect();
    let expected = [
        "\"/email\" \"the number of characters is less than 3\"",
        "\"/gift\" \"a boolean is required\"",
        "\"/items/*/count\" \"a number is required\"",
        "\"/items/*/count\" \"the number is less than 1\"",
        "\"/items/*/count\" \"the number is more than 9\"",
        "\"/size\" \"must be one of: s, m\"",
    ];
    let mut texts = texts;
    texts.sort_unstable();
    assert_eq!(texts, expected);
}

#[proxy_filter_host::test]
fn bodies_that_an_upstream_might_read_differently_are_refused(mut host: Host) {
    configure(&mut host);
    let long = format!("{{\"email\":\"{}\"}}", "x".repeat(5000));
    for (body, expected) in [
        ("{\"email\":\"a@b\",\"email\":7}", 422),
        ("{\"email\":\"a@b\",\"email\":\"c@d\"}", 422),
        ("{\"email\":{\"email\":\"a@b\"}}", 422),
        ("{}", 422),
        ("[]", 422),
        (&long, 422),
        ("{\"email\":\"a@b\"", 400),
        ("{\"email\":\"a@b\"}{}", 400),
        ("\u{feff}{\"email\":\"a@b\"}", 400),
        (" ", 400),
    ] {
        assert_eq!(send(&mut host, body).status(), expected, "{body}");
    }
    for (name, value, expected) in [("content-type", "text/plain", 415), ("content-encoding", "gzip", 415)] {
        let exchange = host.request("DELETE", "/").header(name, value).body("{\"email\":\"a@b\"}").send();
        assert_eq!(exchange.status(), expected, "{exchange}");
    }
}

#[proxy_filter_host::test]
fn malformed_rules_are_refused_with_the_field(mut host: Host) {
    for (fields, expected) in [
        (json!({ "email": { "kind": "text" } }), "fields: "),
        (json!({ "/a": { "kind": "date" } }), "fields./a.kind"),
        (json!({ "/a/*": { "kind": "text", "required": true } }), "fields./a/*.required: "),
        (json!({ "/a": { "kind": "number", "one_of": ["1"] } }), "fields./a.one_of: "),
    ] {
        let refused = host.configure(json!({ "fields": fields })).unwrap_err();
        assert!(refused.to_string().contains(expected), "{fields}: {refused}");
    }
}
