//! Providers, and the next one if a provider fails.

use proxy_filter_host::{Host, Outcome, Reply};
use serde_json::{Value, json};

fn configure(host: &mut Host) {
    configure_without(host, None);
}

/// Configures providers, of which one has no host.
fn configure_without(host: &mut Host, missing: Option<&str>) {
    host.allow_on_headers_stop_iteration(true);
    let provider = |name: &str| json!({ "cluster": name, "authority": format!("{name}.example"), "model": format!("{name}-small"), "key": name });
    let models =
        json!({ "fast": [provider("one"), provider("two"), provider("three")], "last": [provider("one")], "none": [] });
    for name in ["two", "three"] {
        host.cluster(name, move |_| {
            Reply::new(200).header("content-type", "application/json").body(format!("{{\"of\":\"{name}\"}}"))
        });
    }
    if let Some(name) = missing {
        host.cluster_without_hosts(name);
    }
    host.configure(json!({ "models": models, "max_body": 200 })).unwrap();
}

fn send(host: &mut Host, model: &str) -> Outcome {
    let body = json!({ "model": model, "stream": false });
    let request = host.post("/v1/chat").header("content-type", "application/json");
    request.header("authorization", "Bearer mine").header("x-model-cluster", "mine").body(body.to_string()).send()
}

fn header(exchange: &Outcome, name: &str) -> String {
    exchange.upstream().unwrap().header(name).unwrap_or_default().to_string()
}

#[proxy_filter_host::test]
fn the_first_provider_gets_its_name_of_the_model_and_its_key(mut host: Host) {
    configure(&mut host);
    host.upstream(|_| Reply::new(200).body("fine"));
    let exchange = send(&mut host, "fast");
    assert_eq!((exchange.status(), exchange.response().text()), (200, "fine".to_owned()), "{exchange}");
    assert_eq!(header(&exchange, "x-model-cluster"), "one", "{exchange}");
    assert_eq!(header(&exchange, ":authority"), "one.example", "{exchange}");
    assert_eq!(header(&exchange, "authorization"), "Bearer one", "{exchange}");
    let body: Value = serde_json::from_str(&exchange.upstream().unwrap().text()).unwrap();
    assert_eq!(body, json!({ "model": "one-small", "stream": false }), "{exchange}");
    assert!(exchange.calls("two").is_empty(), "{exchange}");
}

/// In Envoy, the timer of the paused headers may end between the exchanges.
#[proxy_filter_host::test(embedded)]
fn the_client_gets_the_response_of_the_next_provider_that_does_not_fail(mut host: Host) {
    configure(&mut host);
    for status in [429, 500, 503] {
        host.upstream(move |_| Reply::new(status).body("busy"));
        let exchange = send(&mut host, "fast");
        assert_eq!((exchange.status(), exchange.response().text()), (200, "{\"of\":\"two\"}".to_owned()), "{exchange}");
        let calls = exchange.calls("two");
        assert_eq!(calls[0].header(":path").unwrap(), "/v1/chat", "{exchange}");
        assert_eq!(calls[0].header("authorization").unwrap(), "Bearer two", "{exchange}");
        assert!(calls[0].text().contains("\"two-small\""), "{exchange}");
        assert!(exchange.calls("three").is_empty(), "{exchange}");
    }
    host.upstream(|_| Reply::new(400));
    let exchange = send(&mut host, "fast");
    assert_eq!((exchange.status(), exchange.calls("two").len()), (400, 0), "{exchange}");
}

#[proxy_filter_host::test]
fn a_provider_that_cannot_be_reached_is_skipped(mut host: Host) {
    configure_without(&mut host, Some("two"));
    host.upstream(|_| Reply::new(503).body("busy"));
    let exchange = send(&mut host, "fast");
    assert_eq!((exchange.status(), exchange.response().text()), (200, "{\"of\":\"three\"}".to_owned()), "{exchange}");
    let exchange = send(&mut host, "last");
    assert_eq!((exchange.status(), exchange.response().text()), (503, "busy".to_owned()), "{exchange}");
}

/// In Envoy, the timer of the paused headers may end between the exchanges.
#[proxy_filter_host::test(embedded)]
fn requests_without_a_known_model_are_refused(mut host: Host) {
    configure(&mut host);
    for body in [
        "",
        "{",
        "[]",
        "{\"model\":7}",
        "{\"model\":\"other\"}",
        "{\"model\":\"none\"}",
        "\u{feff}{\"model\":\"last\"}",
    ] {
        let exchange = host.post("/").body(body).send();
        assert_eq!((exchange.status(), exchange.upstream()), (404, None), "{body}: {exchange}");
    }
    let exchange = host.post("/").header("content-encoding", "gzip").body("{\"model\":\"last\"}").send();
    assert_eq!((exchange.status(), exchange.upstream()), (415, None), "{exchange}");
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.upstream()), (404, None), "{exchange}");
}
