//! Copies of requests.

use proxy_filter_host::{Host, Reply};
use serde_json::{Value, json};
use std::time::Duration;

fn configure(host: &mut Host, settings: &Value) {
    let mut configuration = json!({ "cluster": "shadow", "percent": 100, "max_body": 8 });
    configuration.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    host.cluster("shadow", |_| Reply::new(500).after(Duration::from_millis(20)));
    host.configure(configuration).unwrap();
}

#[proxy_filter_host::test]
fn a_copy_has_the_method_path_headers_and_body_of_the_request_without_credentials(mut host: Host) {
    configure(&mut host, &json!({}));
    // The copy arrives before the response.
    host.upstream(|_| Reply::new(200).after(Duration::from_millis(300)));
    let request = host.request("PUT", "/a?b").header("authorization", "Bearer x").header("x-a", "1");
    let exchange = request.chunks(["abc", "def"]).send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    assert_eq!(exchange.upstream().unwrap().text(), "abcdef", "{exchange}");
    let copies = exchange.calls("shadow");
    assert_eq!(copies.len(), 1, "{exchange}");
    let header = |name| copies[0].header(name).map(|value| value.to_string());
    assert_eq!(header(":method").as_deref(), Some("PUT"));
    assert_eq!(header(":path").as_deref(), Some("/a?b"));
    assert_eq!((header("x-a").as_deref(), header("x-mirrored").as_deref()), (Some("1"), Some("1")));
    assert_eq!((header("authorization"), copies[0].text()), (None, "abcdef".to_owned()));
    assert!(exchange.upstream().unwrap().header("authorization").is_some());
}

#[proxy_filter_host::test]
fn large_requests_and_copies_are_only_forwarded(mut host: Host) {
    configure(&mut host, &json!({}));
    let large = host.post("/").body("0123456789").send();
    let copy = host.get("/").header("x-mirrored", "1").send();
    configure(&mut host, &json!({ "percent": 0 }));
    for exchange in [large, copy, host.get("/").send()] {
        assert_eq!((exchange.status(), exchange.calls("shadow").len()), (200, 0), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn an_outage_of_the_other_cluster_does_not_affect_the_client(mut host: Host) {
    configure(&mut host, &json!({ "cluster": "gone" }));
    host.cluster_without_hosts("gone");
    assert_eq!(host.get("/").send().status(), 200);
    configure(&mut host, &json!({ "cluster": "unknown" }));
    assert_eq!(host.get("/").send().status(), 200);
}

/// In Envoy, a copy may still be in flight when the next request begins.
#[proxy_filter_host::test(embedded)]
fn the_number_of_copies_in_flight_is_limited(mut host: Host) {
    for (max_pending, expected) in [(0, 0), (1, 4)] {
        configure(&mut host, &json!({ "max_pending": max_pending }));
        let count: usize = (0..4).map(|_| host.get("/").send().calls("shadow").len()).sum();
        assert_eq!(count, expected, "{max_pending}");
    }
}

#[proxy_filter_host::test]
fn malformed_configurations_are_refused_with_the_field(mut host: Host) {
    for (configuration, expected) in [
        (json!({ "cluster": "a", "percent": 101 }), "percent: 101 is more than 100"),
        (json!({ "cluster": "a b", "percent": 1 }), "cluster: "),
        (json!({ "cluster": "a", "percent": 1, "remove": ["a b"] }), "remove[0]: "),
    ] {
        let refused = host.configure(&configuration).unwrap_err();
        assert!(refused.to_string().contains(expected), "{configuration}: {refused}");
    }
}
