//! Tokens, and what the authorization server says about them.

use super::cache::{CAPACITY, Cache};
use super::{Introspection, form};
use proxy_filter_host::{Exchange, Host, Received, Reply};
use serde_json::json;
use std::time::{Duration, SystemTime};

/// Year 2100.
const LATER: u64 = 4_102_444_800;

/// Knows some tokens, by their names.
fn server(call: &Received) -> Reply {
    if call.header("authorization") != Some("Basic Z2F0ZXdheTpzM2NyM3QlMkI=".into()) {
        return Reply::new(401);
    }
    let answer = match call.text().trim_end_matches("&token_type_hint=access_token") {
        "token=alice" => json!({ "active": true, "sub": "alice", "scope": "profile orders", "exp": LATER }),
        "token=a%2Bb%2F%3D" => json!({ "active": true, "sub": "plus", "scope": "orders" }),
        "token=narrow" => json!({ "active": true, "sub": "bob", "scope": "orders:read", "exp": LATER }),
        "token=old" => json!({ "active": true, "sub": "carol", "scope": "orders", "exp": 1 }),
        "token=broken" => return Reply::new(500),
        "token=garbage" => return Reply::new(200).body("<html>"),
        "token=reset" => return Reply::reset(),
        _ => json!({ "active": false }),
    };
    Reply::new(200).header("content-type", "application/json").body(answer.to_string())
}

fn configure(host: &mut Host) {
    host.cluster("idp", server);
    host.configure(json!({
        "cluster": "idp",
        "path": "/introspect",
        "client_id": "gateway",
        "client_secret": "s3cr3t+",
        "scope": "orders",
        "ttl_s": 2,
    }))
    .unwrap();
}

fn send(host: &mut Host, token: &str) -> Exchange {
    host.get("/").header("authorization", format!("Bearer {token}")).header("x-subject", "root").send()
}

#[proxy_filter_host::test]
fn a_token_that_is_active_passes(mut host: Host) {
    configure(&mut host);
    for (token, subject) in [("alice", "alice"), ("a+b/=", "plus")] {
        let exchange = send(&mut host, token);
        assert_eq!(exchange.status(), 200, "{exchange}");
        assert_eq!(exchange.upstream().unwrap().header_values("x-subject"), [subject], "{exchange}");
        assert_eq!(exchange.calls("idp")[0].header(":path"), Some("/introspect".into()));
        assert_eq!(exchange.calls("idp")[0].header(":method"), Some("POST".into()));
    }
}

#[proxy_filter_host::test]
fn without_a_token_nobody_is_asked(mut host: Host) {
    configure(&mut host);
    for authorization in ["", "Basic YTpi", "Bearer", "Bearer "] {
        let exchange = host.get("/").header("authorization", authorization).send();
        assert_eq!(exchange.status(), 401, "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()), "{exchange}");
        assert!(exchange.calls("idp").is_empty(), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn a_token_that_is_not_active_or_too_narrow_is_refused(mut host: Host) {
    configure(&mut host);
    for (token, status, error) in
        [("unknown", 401, "invalid_token"), ("old", 401, "invalid_token"), ("narrow", 403, "insufficient_scope")]
    {
        for calls in [1, 0] {
            let exchange = send(&mut host, token);
            assert_eq!((exchange.status(), exchange.upstream()), (status, None), "{exchange}");
            let challenge = format!("Bearer error=\"{error}\"");
            assert_eq!(exchange.response().header("www-authenticate"), Some(challenge.into()), "{exchange}");
            assert_eq!(exchange.calls("idp").len(), calls, "it is remembered: {exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn an_answer_is_remembered_for_a_while(mut host: Host) {
    configure(&mut host);
    let mut calls = Vec::new();
    for wait in [0, 0, 2500, 0] {
        host.advance(Duration::from_millis(wait));
        let exchange = send(&mut host, "alice");
        assert_eq!(exchange.status(), 200, "{exchange}");
        calls.push(exchange.calls("idp").len());
    }
    assert_eq!(calls, [1, 0, 1, 0]);
}

#[proxy_filter_host::test]
fn without_an_answer_nothing_passes_and_nothing_is_remembered(mut host: Host) {
    configure(&mut host);
    for token in ["broken", "garbage", "reset"] {
        for _ in 0..2 {
            let exchange = send(&mut host, token);
            assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
            assert_eq!(exchange.calls("idp").len(), 1, "{exchange}");
        }
    }
}

#[proxy_filter_host::test]
fn an_answer_is_forgotten_when_the_token_expires(mut host: Host) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    host.cluster("idp", move |_| Reply::new(200).body(json!({ "active": true, "exp": now + 4 }).to_string()));
    let client = json!({ "cluster": "idp", "path": "/", "client_id": "a", "client_secret": "b", "ttl_s": 3600 });
    host.configure(client).unwrap();
    assert_eq!(send(&mut host, "t").status(), 200);
    host.advance(Duration::from_secs(6));
    let exchange = send(&mut host, "t");
    assert_eq!((exchange.status(), exchange.calls("idp").len()), (401, 1), "{exchange}");
}

#[test]
fn the_cache_has_a_limit_and_good_tokens_stay_longest() {
    let (now, cache) = (SystemTime::UNIX_EPOCH, Cache::default());
    let minute = now + Duration::from_secs(60);
    let good = Introspection { active: true, ..Introspection::default() };
    cache.insert(b"good", good.clone(), now, minute);
    for number in 0..3 * CAPACITY {
        cache.insert(number.to_string().as_bytes(), Introspection::default(), now, minute);
        assert!(cache.len() <= CAPACITY);
    }
    assert!(cache.get(b"good", now).is_some());
    assert!(cache.get(b"good", minute).is_none(), "its time is over");
    for number in 0..2 * CAPACITY {
        cache.insert(number.to_string().as_bytes(), good.clone(), now, minute);
        assert!(cache.len() <= CAPACITY);
    }
}

#[test]
fn what_a_form_does_not_have_is_written_in_hexadecimal() {
    assert_eq!(form(b"aZ09-_.~ +/&=%\xff"), "aZ09-_.~%20%2B%2F%26%3D%25%FF");
}
