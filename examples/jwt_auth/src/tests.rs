//! Tokens of all kinds.
//!
//! The embedded host interprets the module: a signature takes it seconds. What the host has no part
//! in is tested without it.

use super::{ALGORITHMS, Refusal, bearer, check};
use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::{SignatureEncoding, Signer};
use p256::ecdsa::{Signature, SigningKey};
use proxy_filter::Status;
use proxy_filter_host::{ForeignReply, Host, Outcome, Received, Reply, build_guest};
use proxy_filter_kit::jwt::{Jwks, Rules};
use rsa::PrivateKey;
use rsa::pkcs1v15;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The issuer's keys for ES256, by number.
fn ec(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn ec_jwk(number: u8) -> Value {
    let point = ec(number).verifying_key().to_sec1_point(false);
    let (x, y) = (base64(point.x().unwrap()), base64(point.y().unwrap()));
    json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": format!("ec{number}"), "x": x, "y": y })
}

fn rsa() -> PrivateKey {
    PrivateKey::from_pkcs8_pem(include_str!("test_key.pem")).unwrap()
}

fn rsa_jwk() -> Value {
    let (n, e) = (base64(&rsa().n_bytes()), base64(&rsa().e_bytes()));
    json!({ "kty": "RSA", "alg": "RS256", "kid": "rsa", "n": n, "e": e })
}

fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = [base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes())].join(".");
    let signature = base64(&sign(signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

fn es256(number: u8, claims: &Value) -> String {
    let sign = |text: &[u8]| Signer::<Signature>::sign(&ec(number), text).to_vec();
    token(&json!({ "alg": "ES256", "typ": "JWT", "kid": format!("ec{number}") }), claims, sign)
}

fn rs256(claims: &Value) -> String {
    let sign = |text: &[u8]| pkcs1v15::SigningKey::<Sha256>::new(rsa()).sign(text).to_vec();
    token(&json!({ "alg": "RS256", "kid": "rsa" }), claims, sign)
}

/// Year 2100.
const LATER: u64 = 4_102_444_800;

fn claims() -> Value {
    json!({ "iss": "https://idp.example", "aud": "api", "sub": "alice", "exp": LATER })
}

fn but(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// The issuer's keys, as they are when they have been fetched.
fn keys(set: &[u8]) -> Jwks {
    Jwks::parse(set).unwrap().only(ALGORITHMS)
}

fn known(keys_in_set: &[Value]) -> Jwks {
    keys(json!({ "keys": keys_in_set }).to_string().as_bytes())
}

/// Returns the result for a token at a time, in seconds.
fn result(authorization: &str, now: u64) -> Result<String, String> {
    let token = bearer(authorization.as_bytes()).ok_or_else(|| Refusal::Missing.to_string())?;
    let verified = known(&[ec_jwk(1), rsa_jwk()]).verify(token).map_err(|why| why.to_string())?;
    let rules = Rules::new("https://idp.example", ["api"]);
    let checked = check(&verified, &rules, Duration::from_secs(now)).map_err(|why| why.to_string())?;
    Ok(checked.0.as_str().to_owned())
}

fn why(authorization: &str) -> String {
    result(authorization, 1000).unwrap_err()
}

/// The plugin, with keys from the cluster `idp`.
fn configure(host: &mut Host, jwks: &Value) {
    let mut configuration = json!({
        "jwks": { "cluster": "idp", "path": "/jwks.json" },
        "issuer": "https://idp.example",
        "audience": "api",
    });
    configuration["jwks"].as_object_mut().unwrap().extend(jwks.as_object().unwrap().clone());
    // What Envoy's several VMs do at the start is not compared.
    host.workers(1);
    host.configure(configuration).unwrap();
    host.advance(Duration::from_millis(300));
}

/// A plugin whose issuer publishes these sets of keys, one after the other.
fn publish(host: &mut Host, sets: &'static [fn() -> Reply]) {
    let times = AtomicUsize::new(0);
    host.cluster("idp", move |_: &Received| sets[times.fetch_add(1, Ordering::SeqCst).min(sets.len() - 1)]());
    configure(host, &json!({}));
}

fn jwks(keys: &[Value]) -> Reply {
    Reply::new(200).body(json!({ "keys": keys }).to_string())
}

fn both() -> Reply {
    jwks(&[json!({ "kty": "oct", "k": "AA" }), ec_jwk(1), rsa_jwk()])
}

fn send(host: &mut Host, authorization: &str) -> Outcome {
    host.get("/").header("authorization", authorization).header("x-subject", "root").send()
}

fn assert_passes(host: &mut Host, authorization: &str) {
    let exchange = send(host, authorization);
    assert_eq!(exchange.status(), 200, "{exchange}");
    let upstream = exchange.upstream().unwrap();
    assert_eq!(upstream.header_values("x-subject"), ["alice"], "{exchange}");
    assert_eq!(upstream.header("authorization"), None, "{exchange}");
}

fn assert_refused(host: &mut Host, authorization: &str, why: &str) {
    let exchange = send(host, authorization);
    assert_eq!(exchange.status(), 401, "{authorization}: {exchange}");
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{why}\"");
    assert_eq!(exchange.response().header("www-authenticate"), Some(challenge.into()), "{authorization}: {exchange}");
    assert!(exchange.upstream().is_none());
}

#[proxy_filter_host::test]
fn a_token_signed_with_an_elliptic_curve_is_accepted(mut host: Host) {
    publish(&mut host, &[both]);
    assert_passes(&mut host, &es256(1, &claims()));
}

#[proxy_filter_host::test]
fn a_token_signed_with_rsa_is_accepted(mut host: Host) {
    publish(&mut host, &[both]);
    assert_passes(&mut host, &rs256(&claims()));
}

/// Whether the host has the function or not, the results are the same.
#[proxy_filter_host::test(embedded)]
fn in_a_host_without_signatures_the_module_verifies_them(mut host: Host) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    host.foreign_function("verify_signature", move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        ForeignReply::refused(Status::NOT_FOUND)
    });
    publish(&mut host, &[both]);
    assert_passes(&mut host, &es256(1, &claims()));
    assert_passes(&mut host, &rs256(&claims()));
    let forged = token(&json!({ "alg": "RS256", "kid": "rsa" }), &claims(), |_| vec![1; 256]);
    assert_refused(&mut host, &forged, "the token's signature is wrong");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is tried once");
}

/// The host's verdict counts, whatever the module would find.
#[proxy_filter_host::test(embedded)]
fn a_host_with_signatures_verifies_them(mut host: Host) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    host.foreign_function("verify_signature", move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        ForeignReply::new([0x12, 2, b'n', b'o']) // not valid, with the reason `no`
    });
    publish(&mut host, &[both]);
    for number in 1..3 {
        assert_refused(&mut host, &es256(1, &claims()), "the token's signature is wrong");
        assert_eq!(asked.load(Ordering::SeqCst), number);
    }
}

#[proxy_filter_host::test]
fn signatures_of_another_key_or_form_are_refused(mut host: Host) {
    publish(&mut host, &[both]);
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let other = |text: &[u8]| Signer::<Signature>::sign(&ec(2), text).to_vec();
    let der = |text: &[u8]| Signer::<Signature>::sign(&ec(1), text).to_der().as_bytes().to_vec();
    for forged in [
        token(&header("ES256", "ec1"), &claims(), other),
        token(&header("ES256", "ec1"), &claims(), der),
        token(&header("ES256", "ec1"), &claims(), |_| vec![0; 64]),
        token(&header("ES256", "ec1"), &claims(), |_| vec![0xff; 64]),
        token(&header("RS256", "rsa"), &claims(), |_| vec![0; 256]),
        token(&header("RS256", "rsa"), &claims(), |_| vec![0xff; 257]),
        token(&header("RS256", "rsa"), &claims(), |_| Vec::new()),
    ] {
        assert_refused(&mut host, &forged, "the token's signature is wrong");
    }
}

#[proxy_filter_host::test]
fn without_a_token_the_reply_is_a_challenge(mut host: Host) {
    publish(&mut host, &[both]);
    for authorization in ["", "Basic YTpi", "Bearer", "BearerX"] {
        let exchange = send(&mut host, authorization);
        assert_eq!(exchange.status(), 401, "{exchange}");
        assert_eq!(exchange.response().header("www-authenticate"), Some("Bearer".into()), "{exchange}");
    }
}

#[proxy_filter_host::test]
fn garbage_is_refused(mut host: Host) {
    publish(&mut host, &[both]);
    let good = es256(1, &claims());
    for bad in ["x", "..", "a.b.c", "\u{e9}.\u{e9}.\u{e9}", &format!("{good}."), &format!("{good}="), "e30.e30.e30"] {
        let bad = if bad.starts_with("Bearer") { bad.to_owned() } else { format!("Bearer {bad}") };
        assert_refused(&mut host, &bad, "the token is malformed");
    }
}

#[proxy_filter_host::test]
fn a_token_cannot_choose_how_it_is_checked(mut host: Host) {
    publish(&mut host, &[both]);
    for alg in ["none", "None", "HS256", "ES384", ""] {
        for signature in [&b""[..], b"x"] {
            let token = token(&json!({ "alg": alg, "kid": "ec1" }), &claims(), |_| signature.to_vec());
            assert_refused(&mut host, &token, "the token's algorithm is not accepted");
        }
    }
}

#[proxy_filter_host::test]
fn a_token_that_was_changed_is_refused(mut host: Host) {
    publish(&mut host, &[both]);
    let alice = es256(1, &claims());
    let parts: Vec<&str> = alice.split('.').collect();
    let forged = [parts[0], &base64(but("sub", "root").to_string().as_bytes()), parts[2]].join(".");
    assert_refused(&mut host, &forged, "the token's signature is wrong");
}

#[test]
fn a_signature_that_is_wrong_is_refused() {
    let header = json!({ "alg": "ES256", "kid": "ec1" });
    let other = |text: &[u8]| Signer::<Signature>::sign(&ec(2), text).to_vec();
    for sign in [&other as &dyn Fn(&[u8]) -> Vec<u8>, &|_| vec![0; 64], &|_| vec![0xff; 64], &|_| Vec::new()] {
        assert_eq!(why(&token(&header, &claims(), sign)), "the token's signature is wrong");
        assert_eq!(
            why(&token(&json!({ "alg": "RS256", "kid": "rsa" }), &claims(), sign)),
            "the token's signature is wrong"
        );
    }
    let sign = |text: &[u8]| Signer::<Signature>::sign(&ec(1), text).to_vec();
    let of_another_kind = token(&json!({ "alg": "RS256", "kid": "ec1" }), &claims(), sign);
    assert_eq!(why(&of_another_kind), "the token's signature is wrong");
    let critical = token(&json!({ "alg": "ES256", "kid": "ec1", "crit": ["exp"] }), &claims(), sign);
    assert_eq!(why(&critical), "the token's algorithm is not accepted");
    let nameless = token(&json!({ "alg": "ES256" }), &claims(), sign);
    assert_eq!(result(&nameless, 1000).unwrap(), "alice", "it may be any key's");
}

#[test]
fn the_claims_are_checked() {
    for (claims, expected) in [
        (but("iss", "https://other.example"), "the token is from another issuer"),
        (but("aud", "other"), "the token is for another audience"),
        (but("aud", json!([])), "the token is for another audience"),
        (but("exp", 1), "the token has expired"),
        (but("nbf", LATER), "the token is not valid yet"),
        (without("exp"), "the token has no expiry"),
        (without("aud"), "the token is for another audience"),
        (without("iss"), "the token is from another issuer"),
        (without("sub"), "the token has no subject"),
    ] {
        assert_eq!(why(&es256(1, &claims)), expected, "{claims}");
    }
    assert_eq!(result(&rs256(&but("aud", json!(["other", "api"]))), 1000).unwrap(), "alice");
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let expiring = es256(1, &but("exp", 5000));
    assert_eq!(result(&expiring, 5059).unwrap(), "alice");
    assert_eq!(result(&expiring, 5060).unwrap_err(), "the token has expired");
    let early = es256(1, &but("nbf", 5000));
    assert_eq!(result(&early, 4940).unwrap(), "alice");
    assert_eq!(result(&early, 4939).unwrap_err(), "the token is not valid yet");
}

#[test]
fn keys_for_other_uses_are_ignored() {
    let mut encryption = ec_jwk(1);
    encryption["use"] = "enc".into();
    let mut other_curve = ec_jwk(1);
    other_curve["crv"] = "P-384".into();
    let mut not_on_the_curve = ec_jwk(1);
    not_on_the_curve["y"] = not_on_the_curve["x"].clone();
    let mut weak = rsa_jwk();
    weak["n"] = base64(&[0xff; 128]).into();
    let mut other_algorithm = rsa_jwk();
    other_algorithm["alg"] = "PS256".into();
    let set = [encryption, other_curve, not_on_the_curve, weak, other_algorithm, json!({ "kty": "oct" }), ec_jwk(2)];
    assert_eq!(known(&set).len(), 1);
}

/// Entries of a set with which nothing can be done here: both types of key with each of their
/// members missing or of each JSON type, and what is no key at all. Text, because some are no
/// `Value`.
fn odd_entries() -> Vec<String> {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5e300),
        json!(""),
        json!("="),
        json!("AA"),
        json!("\u{0}\u{feff}"),
        json!([]),
        json!(["sig"]),
        json!({}),
        json!({ "kty": ["RSA"] }),
    ];
    let mut entries: Vec<String> = values.iter().map(Value::to_string).collect();
    for good in [ec_jwk(9), rsa_jwk()] {
        for member in ["kty", "kid", "alg", "use", "crv", "x", "y", "n", "e", "key_ops", "x5c"] {
            let mut odd = good.clone();
            odd.as_object_mut().unwrap().remove(member);
            entries.push(odd.to_string());
            for value in &values {
                odd[member] = value.clone();
                entries.push(odd.to_string());
            }
        }
    }
    let nested = ["[".repeat(5000), "]".repeat(5000)].concat();
    entries.extend([
        r#"{"kty":"EC","kty":"RSA","kid":"twice"}"#.to_owned(),
        r#"{"kty":"\ud800","kid":"half a character"}"#.to_owned(),
        r#"{"kty":"RSA","e":1e999}"#.to_owned(),
        format!(r#"{{"kty":"RSA","n":{nested}}}"#),
        nested,
    ]);
    entries
}

fn set(entries: &[&str]) -> Vec<u8> {
    format!(r#"{{"keys":[{}],"x":null}}"#, entries.join(",")).into_bytes()
}

#[test]
fn an_unknown_entry_does_not_affect_others() {
    let (first, second) = (ec_jwk(1).to_string(), rsa_jwk().to_string());
    for odd in odd_entries() {
        for entries in [[&odd, &first, &second], [&first, &odd, &second], [&first, &second, &odd]] {
            let known = keys(&set(&entries.map(String::as_str)));
            for id in ["ec1", "rsa"] {
                assert!(known.keys().iter().any(|key| key.id() == Some(id)), "{odd}: no {id}");
            }
        }
    }
}

#[test]
fn a_key_set_with_a_byte_order_mark_and_bytes_that_are_not_text_is_read() {
    let good = ec_jwk(1).to_string();
    assert_eq!(keys(&[b"\xef\xbb\xbf", &set(&[&good])[..]].concat()).len(), 1);
    let mut odd = set(&[r#"{"kty":"?"}"#, &good]);
    let place = odd.iter().position(|byte| *byte == b'?').unwrap();
    odd[place] = 0xff;
    assert_eq!(keys(&odd).len(), 1);
}

#[test]
fn members_that_a_key_does_not_need_may_have_any_type() {
    for (mut key, others) in [(ec_jwk(1), ["n", "e", "d"]), (rsa_jwk(), ["x", "y", "crv"])] {
        for member in others {
            key[member] = json!([1]);
        }
        assert_eq!(known(std::slice::from_ref(&key)).len(), 1, "{key}");
    }
}

#[proxy_filter_host::test]
fn odd_entries_of_a_key_set_do_not_affect_the_others(mut host: Host) {
    host.cluster("idp", |_: &Received| {
        let mut entries: Vec<String> = odd_entries().into_iter().step_by(11).collect();
        let good = ec_jwk(1).to_string();
        entries.insert(entries.len() / 2, good);
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        Reply::new(200).body([b"\xef\xbb\xbf", &set(&entries)[..]].concat())
    });
    configure(&mut host, &json!({}));
    assert_passes(&mut host, &es256(1, &claims()));
}

#[test]
fn a_key_without_an_id_verifies_every_token() {
    let mut nameless = ec_jwk(1);
    nameless.as_object_mut().unwrap().remove("kid");
    let verify = |keys: &[Value], authorization: &str| {
        let verified = known(keys).verify(bearer(authorization.as_bytes()).unwrap());
        verified.map(drop).map_err(|why| why.to_string())
    };
    for keys in [&[nameless.clone()][..], &[ec_jwk(2), nameless.clone()], &[nameless.clone(), ec_jwk(2)]] {
        assert_eq!(verify(keys, &es256(1, &claims())), Ok(()));
        assert_eq!(
            verify(keys, &es256(3, &claims())),
            Err("the token's key is unknown".to_owned()),
            "there may be a new one"
        );
    }
    let sign = |text: &[u8]| Signer::<Signature>::sign(&ec(3), text).to_vec();
    let named = token(&json!({ "alg": "ES256", "kid": "ec2" }), &claims(), sign);
    assert_eq!(verify(&[nameless, ec_jwk(2)], &named), Err("the token's signature is wrong".to_owned()));
}

#[test]
fn a_subject_that_cannot_be_a_header_is_refused() {
    for byte in 0..0x80 {
        let subject = format!("al{}ice", char::from(byte));
        let expected = if byte != b'\t' && byte.is_ascii_control() {
            Err("the token's subject cannot be sent in a header".to_owned())
        } else {
            Ok(subject.clone())
        };
        assert_eq!(result(&es256(1, &but("sub", subject)), 1000), expected, "{byte:#x}");
    }
    assert_eq!(result(&es256(1, &but("sub", "j\u{f6}rg")), 1000).unwrap(), "j\u{f6}rg");
}

#[proxy_filter_host::test]
fn a_subject_that_would_end_the_header_is_refused(mut host: Host) {
    publish(&mut host, &[both]);
    for subject in ["alice\r\nx-admin: 1", "alice\u{1}"] {
        assert_refused(&mut host, &es256(1, &but("sub", subject)), "the token's subject cannot be sent in a header");
    }
}

#[test]
fn the_scheme_has_any_case_and_one_or_more_spaces_follow() {
    let token = es256(1, &claims()).replace("Bearer ", "");
    for (before, passes) in [
        ("Bearer ", true),
        ("bearer ", true),
        ("BEARER ", true),
        ("bEaReR    ", true),
        ("Bearer", false),
        ("Bearer\t", false),
        ("Bearer\u{a0}", false),
        (" Bearer ", false),
        ("Bear ", false),
        ("Bearers ", false),
    ] {
        assert_eq!(result(&format!("{before}{token}"), 1000).is_ok(), passes, "{before:?}");
    }
}

#[proxy_filter_host::test]
fn a_token_after_two_spaces_is_accepted(mut host: Host) {
    publish(&mut host, &[both]);
    assert_passes(&mut host, &es256(1, &claims()).replace("Bearer ", "bearer  "));
}

#[proxy_filter_host::test]
fn a_long_token_that_is_garbage_is_refused(mut host: Host) {
    publish(&mut host, &[both]);
    for part in ["x", ".", "[", "\u{e9}", "e30."] {
        assert_refused(&mut host, &["Bearer ", &part.repeat(25_000 / part.len())].concat(), "the token is malformed");
    }
}

#[proxy_filter_host::test]
fn a_new_key_is_fetched_when_a_token_names_it(mut host: Host) {
    let rotated = Arc::new(AtomicBool::new(false));
    let is_rotated = Arc::clone(&rotated);
    host.cluster("idp", move |_| jwks(&[ec_jwk(if is_rotated.load(Ordering::SeqCst) { 2 } else { 1 })]));
    configure(&mut host, &json!({ "pause_s": 2 }));
    assert_refused(&mut host, &es256(2, &claims()), "the token's key is unknown");
    rotated.store(true, Ordering::SeqCst);
    assert_refused(&mut host, &es256(2, &claims()), "the token's key is unknown"); // fetched too short a time ago
    host.advance(Duration::from_millis(2500));
    assert_passes(&mut host, &es256(2, &claims()));
    assert_refused(&mut host, &es256(1, &claims()), "the token's key is unknown");
}

#[proxy_filter_host::test]
fn a_token_that_was_accepted_before_is_refused_once_its_key_is_removed(mut host: Host) {
    let rotated = Arc::new(AtomicBool::new(false));
    let is_rotated = Arc::clone(&rotated);
    host.cluster("idp", move |_| jwks(&[ec_jwk(if is_rotated.load(Ordering::SeqCst) { 2 } else { 1 })]));
    configure(&mut host, &json!({ "refresh_s": 1 }));
    for _ in 0..3 {
        assert_passes(&mut host, &es256(1, &claims()));
    }
    rotated.store(true, Ordering::SeqCst);
    host.advance(Duration::from_millis(2500));
    assert_refused(&mut host, &es256(1, &claims()), "the token's key is unknown");
}

/// The module alone, whose kit does not have the features of other packages.
fn embedded() -> Host {
    let module = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "jwt_auth", None).unwrap();
    Host::for_module(&std::fs::read(module).unwrap())
}

/// A set with keys for ES384 and PS256 beside `ec1`.
fn with_other_algorithms() -> Reply {
    let (mut p384, mut ps256) = (ec_jwk(1), rsa_jwk());
    (p384["crv"], p384["kid"]) = ("P-384".into(), "other\ncurve".into());
    ps256["alg"] = "PS256".into();
    jwks(&[p384, ec_jwk(1), ps256])
}

#[test]
fn a_key_of_an_algorithm_that_was_not_compiled_in_is_named_in_the_log_and_its_tokens_are_refused() {
    let mut host = embedded();
    host.cluster("idp", |_: &Received| with_other_algorithms());
    configure(&mut host, &json!({ "refresh_s": 1 }));
    let lines = [
        "the key \"other\\ncurve\" is skipped: its algorithm ES384 needs the feature `jwt_es384` of proxy-filter-kit",
        "the key \"rsa\" is skipped: its algorithm PS256 needs the feature `jwt_ps` of proxy-filter-kit",
    ];
    let logged: Vec<String> = host.start_logs().into_iter().map(|line| line.message).collect();
    assert_eq!(logged, lines);
    assert_passes(&mut host, &es256(1, &claims()));
    for (algorithm, key) in [("ES384", "other\ncurve"), ("PS256", "rsa"), ("HS256", "ec1")] {
        let token = token(&json!({ "alg": algorithm, "kid": key }), &claims(), |_| vec![1; 96]);
        assert_refused(&mut host, &token, "the token's algorithm is not accepted");
    }
    let later = host.advance(Duration::from_millis(2500));
    assert!(later.messages_of_all().is_empty(), "the same set is not reported again: {later}");
}

#[test]
fn a_set_without_a_key_of_a_compiled_algorithm_says_which_are_needed() {
    let mut host = embedded();
    host.cluster("idp", |_: &Received| {
        let mut ps256 = rsa_jwk();
        ps256["alg"] = "PS256".into();
        jwks(&[ps256])
    });
    configure(&mut host, &json!({}));
    // The first fetches are repeated with pauses.
    let later = host.advance(Duration::from_secs(2));
    let expected = "no usable key; the key \"rsa\" is skipped: its algorithm PS256 needs the feature `jwt_ps`";
    assert!(later.messages_of_all().iter().any(|line| line.contains(expected)), "{later}");
}

#[test]
fn a_token_that_was_accepted_before_takes_four_host_calls_and_three_callbacks() {
    let mut host = embedded();
    publish(&mut host, &[both]);
    let token = es256(1, &claims());
    assert_passes(&mut host, &token);
    let exchange = send(&mut host, &token);
    let spent = exchange.spent();
    assert_eq!((exchange.status(), spent.host_calls, spent.callbacks), (200, 4, 3), "{exchange}");
    assert_eq!(exchange.upstream().unwrap().header("x-subject"), Some("alice".into()), "{exchange}");
}

#[proxy_filter_host::test]
fn the_keys_are_fetched_periodically(mut host: Host) {
    let times = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&times);
    host.cluster("idp", move |_: &Received| {
        counted.fetch_add(1, Ordering::SeqCst);
        both()
    });
    configure(&mut host, &json!({ "refresh_s": 1 }));
    let before = times.load(Ordering::SeqCst);
    host.advance(Duration::from_millis(2500));
    assert!(times.load(Ordering::SeqCst) >= before + 2, "{before} at first, then {times:?}");
}

#[proxy_filter_host::test]
fn keys_that_cannot_be_fetched_at_first_are_tried_again(mut host: Host) {
    publish(&mut host, &[|| Reply::new(500), || Reply::new(200).body("<html>"), || jwks(&[]), both]);
    host.advance(Duration::from_millis(1500));
    assert_passes(&mut host, &es256(1, &claims()));
}

#[proxy_filter_host::test]
fn without_any_key_requests_get_a_503(mut host: Host) {
    publish(&mut host, &[|| Reply::new(404)]);
    host.advance(Duration::from_millis(1500));
    let exchange = send(&mut host, &es256(1, &claims()));
    assert_eq!((exchange.status(), exchange.upstream()), (503, None), "{exchange}");
}

#[proxy_filter_host::test]
fn a_configuration_without_an_issuer_is_refused(mut host: Host) {
    let refused = host.configure(json!({ "jwks": { "cluster": "idp", "path": "/" }, "audience": "api" })).unwrap_err();
    assert!(refused.to_string().contains("missing field `issuer`"), "{refused}");
}
