//! Keys and their limits.

use proxy_filter_host::{Host, Reply};
use serde_json::json;

/// The SHA-256 of `secret`, and of `other`.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
const OTHER: &str = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

fn configure(host: &mut Host, per_minute: u64) {
    let keys = json!({
        SECRET: { "name": "alice", "per_minute": per_minute },
        OTHER: { "name": "bob", "per_minute": per_minute },
    });
    host.configure(json!({ "header": "x-api-key", "keys": keys })).unwrap();
}

fn status(host: &mut Host, key: &str) -> u16 {
    host.get("/").header("x-api-key", key).send().status()
}

#[proxy_filter_host::test]
fn the_upstream_gets_the_name_of_the_client_and_not_the_key(mut host: Host) {
    configure(&mut host, 10);
    let exchange = host.get("/").header("x-api-key", "secret").header("x-client", "root").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    let received = exchange.upstream().unwrap();
    assert_eq!(received.header("x-client").unwrap(), "alice", "{exchange}");
    assert!(received.header("x-api-key").is_none(), "{exchange}");
}

#[proxy_filter_host::test]
fn requests_without_a_known_key_are_refused(mut host: Host) {
    configure(&mut host, 10);
    for key in ["", "wrong", "SECRET", "secret ,", SECRET] {
        assert_eq!(status(&mut host, key), 401, "{key}");
    }
    let exchange = host.get("/").send();
    assert_eq!((exchange.status(), exchange.upstream()), (401, None), "{exchange}");
    assert_eq!(exchange.response().header("content-type").unwrap(), "application/problem+json");
    assert_eq!(exchange.response().text(), r#"{"status":401,"title":"the key is unknown"}"#);
}

#[proxy_filter_host::test]
fn a_repeated_key_is_refused(mut host: Host) {
    configure(&mut host, 10);
    let exchange = host.get("/").header("x-api-key", "secret").header("x-api-key", "other").send();
    assert_eq!((exchange.status(), exchange.upstream()), (400, None), "{exchange}");
}

#[proxy_filter_host::test]
fn each_client_has_its_own_limit(mut host: Host) {
    configure(&mut host, 2);
    for (key, expected) in [("secret", 200), ("secret", 200), ("secret", 429), ("other", 200), ("secret", 429)] {
        assert_eq!(status(&mut host, key), expected, "{key}");
    }
    let exchange = host.get("/").header("x-api-key", "secret").send();
    assert!(exchange.response().header("retry-after").is_some(), "{exchange}");
}

#[proxy_filter_host::test]
fn the_limit_is_that_of_all_workers(mut host: Host) {
    host.workers(3);
    host.upstream(|_| Reply::new(204));
    configure(&mut host, 5);
    let allowed = (0..8).filter(|_| status(&mut host, "other") == 204).count();
    assert_eq!(allowed, 5);
}

#[proxy_filter_host::test]
fn a_configuration_with_a_bad_name_is_refused(mut host: Host) {
    let keys = json!({ SECRET: { "name": "a\nb", "per_minute": 1 } });
    let refused = host.configure(json!({ "header": "x-api-key", "keys": keys })).unwrap_err();
    assert!(refused.to_string().contains("keys"), "{refused}");
}
