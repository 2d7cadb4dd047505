//! Tokens, and what the authorization server says about them.

use super::facts::{CAPACITY, Facts, LONGEST_SUBJECT};
use super::{Introspection, LONGEST_TOKEN};
use proxy_filter_host::{Host, Outcome, Received, Reply};
use serde_json::{Value, json};
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

fn send(host: &mut Host, token: &str) -> Outcome {
    host.get("/").header("authorization", format!("Bearer {token}")).header("x-subject", "root").send()
}

#[proxy_filter_host::test]
fn an_active_token_is_accepted(mut host: Host) {
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
fn without_a_token_no_call_is_made(mut host: Host) {
    configure(&mut host);
    for authorization in ["", "Basic YTpi", "Bearer", "Bearer "] {
        let exchange = host.get("/").header("authorization", authorization).send();
        assert_eq!(exchange.status(), 401, "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()), "{exchange}");
        assert!(exchange.calls("idp").is_empty(), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn the_scheme_has_any_case_and_one_or_more_spaces_follow(mut host: Host) {
    configure(&mut host);
    for (authorization, status) in [
        ("bearer alice", 200),
        ("BEARER alice", 200),
        ("bEaReR    alice", 200),
        ("Bearer\talice", 401),
        ("Bearers alice", 401),
        ("Token alice", 401),
        ("Bearer alice alice", 401),
    ] {
        let exchange = host.get("/").header("authorization", authorization).send();
        assert_eq!(exchange.status(), status, "{authorization}: {exchange}");
    }
}

/// Every byte that a header may have and no token does, and a token that is too long.
#[proxy_filter_host::test]
fn a_malformed_token_makes_no_call(mut host: Host) {
    configure(&mut host);
    let bytes = [b'\t', b' '].into_iter().chain((0x80..=0xff).step_by(17)).map(|byte| vec![b'a', byte, b'b']);
    for token in bytes.chain([vec![b'a'; LONGEST_TOKEN + 1]]) {
        let exchange = host.get("/").header("authorization", [b"Bearer ", &token[..]].concat()).send();
        let challenge = exchange.response().header("www-authenticate");
        assert_eq!((exchange.status(), challenge), (401, Some("Bearer error=\"invalid_token\"".into())), "{exchange}");
        assert!(exchange.calls("idp").is_empty() && exchange.upstream().is_none(), "{exchange}");
    }
}

/// The upstream gets all values, and might believe another one.
#[proxy_filter_host::test]
fn two_tokens_are_refused(mut host: Host) {
    configure(&mut host);
    for (first, second) in [("Bearer alice", "Bearer unknown"), ("Bearer unknown", "Bearer alice")] {
        let exchange = host.get("/").header("authorization", first).header("authorization", second).send();
        assert!([400, 401].contains(&exchange.status()), "{exchange}");
        assert!(exchange.upstream().is_none(), "{exchange}");
    }
}

/// An authorization server with these responses to the tokens `t0`, `t1` and so on. Each one is
/// sent twice and must have the given status, and the second one comes from the cache or not.
fn assert_taken(host: &mut Host, scope: Option<&str>, cases: Vec<(String, u16, bool)>) {
    let bodies: Vec<String> = cases.iter().map(|(body, ..)| body.clone()).collect();
    host.cluster("idp", move |call: &Received| {
        let text = call.text();
        let number = text.trim_start_matches("token=t").split('&').next().unwrap();
        Reply::new(200).body(bodies[number.parse::<usize>().unwrap()].clone())
    });
    let client = json!({ "cluster": "idp", "path": "/", "client_id": "a", "client_secret": "b", "scope": scope });
    host.configure(client).unwrap();
    for (number, (body, status, remembered)) in cases.into_iter().enumerate() {
        for calls in [1, usize::from(!remembered)] {
            let exchange = send(host, &format!("t{number}"));
            assert_eq!((exchange.status(), exchange.calls("idp").len()), (status, calls), "{body}: {exchange}");
            assert_eq!(exchange.upstream().is_some(), status == 200, "{body}: {exchange}");
        }
    }
}

/// Every JSON type.
fn types() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(42),
        json!(-1.5),
        json!(""),
        json!("text"),
        json!([]),
        json!(["text", 1]),
        json!({}),
        json!({ "active": true }),
    ]
}

fn answer(active: bool, member: &str, value: &Value) -> String {
    let mut answer = json!({ "active": active, "sub": "alice", "scope": "orders", "exp": LATER });
    answer[member] = value.clone();
    answer.to_string()
}

#[proxy_filter_host::test]
fn an_inactive_token_is_refused_with_any_other_members(mut host: Host) {
    let mut cases = Vec::new();
    for member in ["sub", "scope", "exp", "aud", "username"] {
        cases.extend(types().iter().map(|value| (answer(false, member, value), 401, true)));
    }
    let nested = ["[".repeat(5000), "]".repeat(5000)].concat();
    cases.push((format!(r#"{{"sub":{nested},"active":false,"x":{nested},"exp":1e999}}"#), 401, true));
    assert_taken(&mut host, Some("orders"), cases);
}

#[proxy_filter_host::test]
fn a_member_of_another_type_counts_as_missing(mut host: Host) {
    let mut cases = Vec::new();
    for value in types() {
        let expires = !value.is_null();
        cases.push((answer(true, "sub", &value), 200, true));
        cases.push((answer(true, "username", &value), 200, true));
        cases.push((answer(true, "scope", &value), 403, true));
        cases.push((answer(true, "exp", &value), if expires { 401 } else { 200 }, true));
    }
    assert_taken(&mut host, Some("orders"), cases);
}

#[proxy_filter_host::test]
fn a_scope_may_be_a_list(mut host: Host) {
    let scopes = [(json!(["profile", "orders"]), 200), (json!(["profile orders"]), 200), (json!(["orders:read"]), 403)];
    let cases = scopes.into_iter().map(|(scope, status)| (answer(true, "scope", &scope), status, true)).collect();
    assert_taken(&mut host, Some("orders"), cases);
}

#[proxy_filter_host::test]
fn an_expiry_is_a_number_of_any_form(mut host: Host) {
    let cases = [
        ("4102444800", 200),
        ("4102444800.5", 200),
        ("4.1024448e9", 200),
        ("18446744073709551616", 200),
        ("1e300", 200),
        ("0", 401),
        ("-1", 401),
        ("-1e300", 401),
        ("1.5", 401),
        ("1e999", 401),
        (r#""4102444800""#, 401),
    ];
    let cases = cases.map(|(exp, status)| (format!(r#"{{"active":true,"exp":{exp}}}"#), status, true));
    assert_taken(&mut host, None, cases.to_vec());
}

#[proxy_filter_host::test]
fn a_subject_that_cannot_be_a_header_is_refused_once(mut host: Host) {
    let mut cases = Vec::new();
    for byte in 0..0x80_u8 {
        let passes = byte == b'\t' || !byte.is_ascii_control();
        if !passes || byte % 16 == 9 {
            let subject = json!(format!("al{}ice", char::from(byte)));
            cases.push((answer(true, "sub", &subject), if passes { 200 } else { 401 }, true));
        }
    }
    cases.push((answer(true, "sub", &json!("j\u{f6}rg")), 200, true));
    assert_taken(&mut host, None, cases);
}

#[proxy_filter_host::test]
fn a_response_without_active_is_an_outage(mut host: Host) {
    let bodies = ["{}", r#"{"active":"true","sub":"a"}"#, r#"{"active":null}"#, r#"{"active":false,"active":true}"#];
    let mut cases: Vec<_> = bodies.map(|body| (body.to_owned(), 503, false)).to_vec();
    cases.push((format!("\u{feff}{}", answer(true, "sub", &json!("alice"))), 200, true));
    assert_taken(&mut host, None, cases);
}

#[test]
fn only_true_and_false_say_whether_a_token_is_active() {
    for value in types() {
        let read = Introspection::read(answer(true, "active", &value).as_bytes(), None, Duration::ZERO);
        assert_eq!(read.is_ok(), value.is_boolean(), "{value}");
    }
}

#[proxy_filter_host::test(embedded)]
fn log_lines_about_outages_are_rate_limited(mut host: Host) {
    configure(&mut host);
    let lines: usize = (0..100).map(|_| send(&mut host, "broken").messages().len()).sum();
    assert!((1..=20).contains(&lines), "{lines}");
}

#[proxy_filter_host::test]
fn a_token_that_the_server_cannot_read_is_refused(mut host: Host) {
    host.cluster("idp", |call: &Received| match call.text().as_str() {
        "token=400&token_type_hint=access_token" => Reply::new(400),
        "token=413&token_type_hint=access_token" => Reply::new(413),
        _ => Reply::new(401),
    });
    host.configure(json!({ "cluster": "idp", "path": "/", "client_id": "a", "client_secret": "b" })).unwrap();
    for (token, status) in [("400", 401), ("413", 401), ("other", 503)] {
        let exchange = send(&mut host, token);
        assert_eq!((exchange.status(), exchange.upstream()), (status, None), "{exchange}");
        assert_eq!(exchange.messages().is_empty(), status == 401, "{exchange}");
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
fn a_response_is_cached(mut host: Host) {
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
fn an_outage_refuses_requests_and_is_not_cached(mut host: Host) {
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
fn a_cached_response_expires_with_its_token(mut host: Host) {
    let now = host.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    host.cluster("idp", move |_| Reply::new(200).body(json!({ "active": true, "exp": now + 4 }).to_string()));
    let client = json!({ "cluster": "idp", "path": "/", "client_id": "a", "client_secret": "b", "ttl_s": 3600 });
    host.configure(client).unwrap();
    assert_eq!(send(&mut host, "t").status(), 200);
    host.advance(Duration::from_secs(6));
    let exchange = send(&mut host, "t");
    assert_eq!((exchange.status(), exchange.calls("idp").len()), (401, 1), "{exchange}");
}

#[test]
fn the_cache_has_a_limit_and_inactive_tokens_evict_no_active_ones() {
    let (now, facts) = (Duration::from_secs(1000), Facts::default());
    let minute = now + Duration::from_secs(60);
    let good = Introspection { active: true, ..Introspection::default() };
    facts.insert(b"good", good.clone(), now, minute);
    for number in 0..3 * CAPACITY {
        facts.insert(number.to_string().as_bytes(), Introspection::default(), now, minute);
        assert!(facts.len().1 <= CAPACITY);
    }
    assert!(facts.get(b"good", now).is_some_and(|found| found.active));
    assert!(facts.get(b"2999", now).is_some_and(|found| !found.active));
    assert!(facts.get(b"good", Duration::from_secs(999)).is_none(), "the clock was set back");
    assert!(facts.get(b"good", minute).is_none(), "its time is over");
    for number in 0..2 * CAPACITY {
        facts.insert(number.to_string().as_bytes(), good.clone(), now, minute);
        assert!(facts.len().0 <= CAPACITY);
    }
}

#[test]
fn the_cache_has_a_limit_in_bytes() {
    let (now, facts) = (Duration::from_secs(1000), Facts::default());
    let minute = now + Duration::from_secs(60);
    for (length, remembered) in [(LONGEST_SUBJECT, true), (LONGEST_SUBJECT + 1, false)] {
        let token = vec![b'x'; 2_000_000 + length];
        let found = Introspection { active: true, subject: "a".repeat(length), ..Introspection::default() };
        facts.insert(&token, found, now, minute);
        assert_eq!(facts.get(&token, now).is_some(), remembered, "{length}");
    }
}

#[proxy_filter_host::test]
fn bytes_that_a_form_does_not_allow_are_percent_encoded(mut host: Host) {
    host.cluster("idp", |call: &Received| {
        let found = call.text() == "token=aZ09-_.~%2B%2F%26%3D%25%21&token_type_hint=access_token"
            && call.header("authorization") == Some("Basic YSUzQTpiJTIwJUMzJUJG".into());
        Reply::new(200).body(json!({ "active": found }).to_string())
    });
    let client = json!({ "cluster": "idp", "path": "/", "client_id": "a:", "client_secret": "b \u{ff}" });
    host.configure(client).unwrap();
    let exchange = send(&mut host, "aZ09-_.~+/&=%!");
    assert_eq!(exchange.status(), 200, "{exchange}");
}
