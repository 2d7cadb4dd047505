//! The vectors of the standards, and tokens that must be refused.

use super::vectors::{ED25519, PAYLOAD, PUBLIC_KEYS, SECRET_KEYS, VECTORS};
use super::*;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::time::Duration;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::SignatureEncoding;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pss::Pss;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, PrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

fn set(jwk: &str) -> Jwks {
    Jwks::from_iter([Key::from_jwk(jwk.as_bytes()).unwrap()])
}

pub(super) fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

#[test]
fn the_vectors_of_rfc_7515_are_verified() {
    for (jwk, header, signature) in VECTORS {
        let verified = set(jwk).verify(format!("{header}.{PAYLOAD}.{signature}").as_bytes()).unwrap();
        let claims: Claims = verified.claims().unwrap();
        assert_eq!((claims.issuer.as_deref(), claims.expires), (Some("joe"), Some(Duration::from_secs(1_300_819_380))));
        assert_eq!(claims.others["http://example.com/is_root"], true);
    }
}

/// RFC 7517, appendices A.1 to A.3: the key for encryption and the published secrets are ignored.
#[test]
fn the_key_sets_of_rfc_7517_are_read() {
    let keys = Jwks::parse(PUBLIC_KEYS.as_bytes()).unwrap();
    let found: Vec<_> = keys.keys().iter().map(|key| (key.id(), key.is_for(Algorithm::RS256))).collect();
    assert_eq!(found, [(Some("2011-04-29"), true)]);
    assert!(!keys.keys()[0].is_for(Algorithm::RS384), "it is for RS256 only");
    // The same key of the curve, for signatures.
    let keys = Jwks::parse(PUBLIC_KEYS.replace("\"enc\"", "\"sig\"").as_bytes()).unwrap();
    assert_eq!(keys.keys().iter().map(Key::id).collect::<Vec<_>>(), [Some("1"), Some("2011-04-29")]);
    assert!(Jwks::parse(SECRET_KEYS.as_bytes()).unwrap().is_empty());
}

#[test]
fn the_vector_of_rfc_8037_is_verified() {
    let keys = set(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);

    let verified = keys.verify(ED25519.as_bytes()).unwrap();
    assert_eq!(verified.payload, b"Example of Ed25519 signing");
    assert_eq!(verified.claims::<Claims>().unwrap_err(), TokenError::Payload);
}

#[test]
fn a_changed_byte_makes_the_token_invalid() {
    for (jwk, header, signature) in VECTORS {
        let keys = set(jwk);
        let token = format!("{header}.{PAYLOAD}.{signature}");
        for at in (0..token.len()).step_by(if jwk.contains("oct") { 1 } else { 61 }) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(keys.verify(&changed).is_err(), "{at}");
        }
    }
}

/// A random source with fixed output.
struct Zeros;

impl rsa::rand_core::TryRng for Zeros {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(1)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(1)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(1);
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Zeros {}

/// An algorithm, its name, its key, and its signing function.
type Signer = (Algorithm, &'static str, Value, Box<dyn Fn(&[u8]) -> Vec<u8>>);

fn mac<D: hmac::KeyInit + hmac::Mac>(text: &[u8]) -> Vec<u8> {
    let mut mac = <D as hmac::KeyInit>::new_from_slice(&[7; 64]).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// All algorithms.
fn signers() -> Vec<Signer> {
    use Algorithm::*;
    let rsa = PrivateKey::from_pkcs8_pem(include_str!("test_key.pem")).unwrap();
    let rsa_jwk = json!({ "kty": "RSA", "n": base64(&rsa.n_bytes()), "e": base64(&rsa.e_bytes()) });
    let secret = [7; 64];
    let oct = json!({ "kty": "oct", "k": base64(&secret) });
    let p256 = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = p256.verifying_key().to_sec1_point(false);
    let p256_jwk =
        json!({ "kty": "EC", "crv": "P-256", "x": base64(point.x().unwrap()), "y": base64(point.y().unwrap()) });
    let p384 = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    let point = p384.verifying_key().to_sec1_point(false);
    let p384_jwk =
        json!({ "kty": "EC", "crv": "P-384", "x": base64(point.x().unwrap()), "y": base64(point.y().unwrap()) });
    let ed = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let ed_jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(ed.verifying_key().as_bytes()) });
    let mut all: Vec<Signer> = vec![
        (HS256, "HS256", oct.clone(), Box::new(mac::<hmac::Hmac<Sha256>>)),
        (HS384, "HS384", oct.clone(), Box::new(mac::<hmac::Hmac<Sha384>>)),
        (HS512, "HS512", oct, Box::new(mac::<hmac::Hmac<Sha512>>)),
        (ES256, "ES256", p256_jwk, {
            Box::new(move |text| p256::ecdsa::signature::Signer::<p256::ecdsa::Signature>::sign(&p256, text).to_vec())
        }),
        (ES384, "ES384", p384_jwk, {
            Box::new(move |text| p256::ecdsa::signature::Signer::<p384::ecdsa::Signature>::sign(&p384, text).to_vec())
        }),
        (EdDSA, "EdDSA", ed_jwk, Box::new(move |text| ed.sign(text).to_bytes().to_vec())),
    ];
    macro_rules! rsa {
        ($($pkcs:ident, $pss:ident, $digest:ty);*) => {$(
            let key = rsa.clone();
            let sign = move |text: &[u8]| key.sign(Pkcs1v15Sign::new::<$digest>(), &<$digest>::digest(text)).unwrap();
            all.push(($pkcs, stringify!($pkcs), rsa_jwk.clone(), Box::new(sign)));
            let key = rsa.clone();
            let sign = move |text: &[u8]| {
                key.sign_with_rng(&mut Zeros, Pss::<$digest>::new(), &<$digest>::digest(text)).unwrap()
            };
            all.push(($pss, stringify!($pss), rsa_jwk.clone(), Box::new(sign)));
        )*};
    }
    rsa!(RS256, PS256, Sha256; RS384, PS384, Sha384; RS512, PS512, Sha512);
    all
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = [base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes())].join(".");
    let signature = base64(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn a_key_is_used_with_its_own_algorithms_only() {
    let signers = signers();
    for (algorithm, name, jwk, sign) in &signers {
        let keys = set(&jwk.to_string());
        let good = token(&json!({ "alg": name }), &json!({}), sign);
        assert_eq!(keys.verify(good.as_bytes()).map(|verified| verified.header.algorithm), Ok(*algorithm), "{name}");
        for (_, other, other_jwk, _) in &signers {
            if other == name {
                continue;
            }
            // The header names another algorithm.
            let lie = token(&json!({ "alg": other }), &json!({}), sign);
            assert_eq!(keys.verify(lie.as_bytes()).unwrap_err(), TokenError::Signature, "{name} as {other}");
            if other_jwk != jwk {
                assert!(set(&other_jwk.to_string()).verify(good.as_bytes()).is_err(), "{name} by a key for {other}");
            }
            // A key for one algorithm is not used for another of its kind.
            let mut only = jwk.clone();
            only["alg"] = json!(other);
            let narrowed = Key::from_jwk(only.to_string().as_bytes());
            assert!(narrowed.is_none_or(|key| !key.is_for(*algorithm)), "{name} {other}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let (_, _, jwk, _) = signers().remove(7);
    for secret in [
        jwk.to_string().into_bytes(),
        include_bytes!("test_key.pem").to_vec(),
        decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap(),
    ] {
        let sign = |text: &[u8]| {
            use hmac::{KeyInit, Mac};
            let mut mac = hmac::Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        };
        let forged = token(&json!({ "alg": "HS256" }), &json!({ "sub": "root" }), sign);
        assert_eq!(set(&jwk.to_string()).verify(forged.as_bytes()).unwrap_err(), TokenError::Signature);
    }
}

#[test]
fn tokens_without_a_signature_are_refused() {
    let keys = set(VECTORS[0].0);
    // RFC 7519, section 6.1
    assert_eq!(keys.verify(format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.").as_bytes()).unwrap_err(), TokenError::Unsupported);
    for name in ["none", "None", "NONE", "", "hs256", "HS1", "ES512", "RSA-OAEP"] {
        let unsigned = token(&json!({ "alg": name }), &json!({}), |_| vec![]);
        assert_eq!(keys.verify(unsigned.as_bytes()).unwrap_err(), TokenError::Unsupported, "{name}");
    }
    let (_, header, _) = VECTORS[0];
    assert_eq!(keys.verify(format!("{header}.{PAYLOAD}.").as_bytes()).unwrap_err(), TokenError::Signature);
    for odd in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "bnVsbA.e30.", &"x".repeat(20_000)] {
        assert_eq!(keys.verify(odd.as_bytes()).unwrap_err(), TokenError::Malformed, "{odd}");
    }
    let (_, _, signature) = VECTORS[0];
    assert_eq!(keys.verify(format!("{header}.{PAYLOAD}.{signature}=").as_bytes()).unwrap_err(), TokenError::Malformed);
}

#[test]
fn extensions_that_are_not_understood_are_refused() {
    let (_, name, jwk, sign) = signers().remove(0);
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(7)] {
        let header = json!({ "alg": name, "crit": crit, "b64": false });
        let result = set(&jwk.to_string()).verify(token(&header, &json!({}), &sign).as_bytes());
        assert_eq!(result.unwrap_err(), TokenError::Unsupported, "{header}");
    }
}

#[test]
fn a_name_says_which_key_to_use() {
    let signers = signers();
    let named = |at: usize, id: &str| {
        let mut jwk = signers[at].2.clone();
        jwk["kid"] = json!(id);
        Key::from_jwk(jwk.to_string().as_bytes()).unwrap()
    };
    let (_, name, jwk, sign) = &signers[3];
    let verify = |keys: Vec<Key>, id: &str| {
        let keys = Jwks::from_iter(keys);
        keys.verify(token(&json!({ "alg": name, "kid": id }), &json!({}), sign).as_bytes())
            .map(|verified| verified.header.key_id)
    };
    let nameless = Key::from_jwk(jwk.to_string().as_bytes()).unwrap();
    assert_eq!(verify(vec![named(0, "a"), named(3, "b")], "b"), Ok(Some("b".into())));
    assert_eq!(verify(vec![nameless], "b"), Ok(Some("b".into())));
    assert_eq!(verify(vec![named(3, "a")], "b"), Err(TokenError::UnknownKey));
    assert_eq!(verify(vec![named(3, "a"), named(4, "b")], "b"), Err(TokenError::Signature));
    assert_eq!(verify(vec![], "b"), Err(TokenError::UnknownKey));
}

/// The checks that reached the host.
fn asked() -> &'static std::thread::LocalKey<core::cell::Cell<u32>> {
    std::thread_local!(static ASKED: core::cell::Cell<u32> = const { core::cell::Cell::new(0) });
    &ASKED
}

/// A host with the function, over the same cryptography, from DER.
#[allow(clippy::unnecessary_wraps, reason = "other hosts do not have the function")]
pub(super) fn host(check: &HostCheck<'_>) -> Option<bool> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use rsa::pkcs8::DecodePublicKey;
    asked().set(asked().get() + 1);
    let (hash, scheme) = match check.hash {
        "sha256" => (Sha256::digest(check.signed).to_vec(), Pkcs1v15Sign::new::<Sha256>()),
        "sha384" => (Sha384::digest(check.signed).to_vec(), Pkcs1v15Sign::new::<Sha384>()),
        "sha512" => (Sha512::digest(check.signed).to_vec(), Pkcs1v15Sign::new::<Sha512>()),
        other => panic!("{other}"),
    };
    if let Ok(key) = rsa::PublicKey::from_public_key_der(check.key) {
        return Some(key.verify(scheme, &hash, check.signature).is_ok());
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(check.key) {
        let signature = p256::ecdsa::Signature::from_der(check.signature);
        return Some(signature.is_ok_and(|signature| key.verify_prehash(&hash, &signature).is_ok()));
    }
    let key = p384::ecdsa::VerifyingKey::from_public_key_der(check.key).unwrap();
    let signature = p384::ecdsa::Signature::from_der(check.signature);
    Some(signature.is_ok_and(|signature| key.verify_prehash(&hash, &signature).is_ok()))
}

/// A host without the function.
fn no_host(_: &HostCheck<'_>) -> Option<bool> {
    asked().set(asked().get() + 1);
    None
}

#[test]
fn the_host_verifies_what_it_can_and_the_module_the_rest() {
    for (algorithm, name, jwk, sign) in signers() {
        let is_for_host = name.starts_with("RS") || name.starts_with("ES");
        let good = token(&json!({ "alg": name }), &json!({}), &sign);
        let bad = token(&json!({ "alg": name }), &json!({}), |text| {
            let mut signature = sign(text);
            signature[9] ^= 1;
            signature
        });
        let short = token(&json!({ "alg": name }), &json!({}), |text| sign(text)[1..].to_vec());
        for (verify, with) in [(host as HostVerify, true), (no_host, false)] {
            let keys = set(&jwk.to_string()).with_host(verify);
            asked().set(0);
            assert_eq!(keys.verify(good.as_bytes()).map(|found| found.header.algorithm), Ok(algorithm), "{name}");
            assert_eq!(keys.verify(bad.as_bytes()).unwrap_err(), TokenError::Signature, "{name}");
            assert_eq!(keys.verify(short.as_bytes()).unwrap_err(), TokenError::Signature, "{name}");
            let expected = match (is_for_host, with) {
                (false, _) => 0,
                // Two of the signatures have the length of the algorithm.
                (true, true) if name.starts_with("ES") => 2,
                (true, true) => 3,
                (true, false) => 1,
            };
            assert_eq!(asked().get(), expected, "{name} {with}");
        }
    }
}

#[test]
fn only_the_accepted_algorithms_are_used() {
    let signers = signers();
    for (algorithm, name, jwk, sign) in &signers {
        let good = token(&json!({ "alg": name }), &json!({}), sign);
        for (other, other_name, ..) in &signers {
            let keys = set(&jwk.to_string()).only(&[*other]);
            let expected = if other == algorithm { Ok(()) } else { Err(TokenError::Unsupported) };
            assert_eq!(keys.verify(good.as_bytes()).map(drop), expected, "{name}, only {other_name}");
            assert_eq!(keys.len(), usize::from(keys.keys().iter().any(|key| key.is_for(*other))));
        }
    }
}

/// Entries of a set that cannot be used, or are unusual. They are each kind of key with each member
/// missing or of each JSON type, and values that are not keys.
fn odd_entries() -> Vec<String> {
    let values = [
        json!(null),
        json!(true),
        json!(-1.5e300),
        json!(""),
        json!("="),
        json!("AA"),
        json!("\u{0}\u{feff}"),
        json!([]),
        json!({}),
    ];
    let mut entries: Vec<String> = values.iter().map(Value::to_string).collect();
    for at in [0, 3, 4, 5, 6] {
        let good = signers().remove(at).2;
        for member in ["kty", "kid", "alg", "use", "crv", "x", "y", "n", "e", "k", "key_ops"] {
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
    entries.push(format!(r#"{{"kty":"RSA","n":{nested}}}"#));
    entries
        .extend([r#"{"kty":"EC","kty":"RSA"}"#, r#"{"kty":"\ud800"}"#, r#"{"kty":"RSA","e":1e999}"#].map(String::from));
    entries
}

#[test]
fn an_odd_entry_does_not_affect_others() {
    let signers = signers();
    let (_, name, good, sign) = &signers[3];
    let token = token(&json!({ "alg": name }), &json!({}), sign);
    for odd in odd_entries() {
        for entries in [[odd.clone(), good.to_string()], [good.to_string(), odd.clone()]] {
            let keys =
                Jwks::parse(format!("\u{feff}{{\"keys\":[{}],\"x\":null}}", entries.join(",")).as_bytes()).unwrap();
            assert!(keys.verify(token.as_bytes()).is_ok(), "{odd}");
            assert!(!keys.keys.iter().any(|key| key.is_for(Algorithm::HS256)), "a published secret is not used");
        }
    }
    for text in ["", "[]", "{}", "{\"keys\":1}", "<html>"] {
        assert_eq!(Jwks::parse(text.as_bytes()).unwrap_err(), JwksError, "{text}");
    }
}

#[test]
fn short_secrets_and_keys_for_other_uses_are_refused() {
    assert!(Key::secret(None, [7; 31]).is_none());
    let short = Key::secret(None, [7; 32]).unwrap();
    assert!(short.is_for(Algorithm::HS256) && !short.is_for(Algorithm::HS384));
    let good = signers().remove(3).2;
    for (member, value) in
        [("use", json!("enc")), ("key_ops", json!(["sign"])), ("alg", json!("ES384")), ("alg", json!("ECDH-ES"))]
    {
        let mut jwk = good.clone();
        jwk[member] = value;
        assert!(Key::from_jwk(jwk.to_string().as_bytes()).is_none(), "{jwk}");
    }
}

#[test]
fn claims_are_checked() {
    let rules = Rules::new("me", ["api", "web"]).leeway(Duration::from_secs(10));
    let check =
        |claims: Value, now: u64| rules.check(&serde_json::from_value(claims).unwrap(), Duration::from_secs(now));
    let good = || json!({ "iss": "me", "aud": ["x", "web"], "exp": 100.5, "nbf": 50 });
    let but = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    for (claims, now, expected) in [
        (good(), 60, Ok(())),
        (good(), 110, Ok(())),
        (good(), 111, Err(ClaimError::Expired)),
        (good(), 40, Ok(())),
        (good(), 39, Err(ClaimError::NotYetValid)),
        (but("exp", json!(-1)), 60, Err(ClaimError::Expired)),
        (but("exp", json!(1e300)), 60, Ok(())),
        (but("nbf", json!(1e300)), 60, Err(ClaimError::NotYetValid)),
        (but("iss", json!("you")), 60, Err(ClaimError::Issuer)),
        (but("iss", json!(null)), 60, Err(ClaimError::Issuer)),
        (but("aud", json!("api")), 60, Ok(())),
        (but("aud", json!([])), 60, Err(ClaimError::Audience)),
        (but("aud", json!("apis")), 60, Err(ClaimError::Audience)),
        (json!({ "iss": "me", "aud": "api" }), 60, Err(ClaimError::NoExpiry)),
        (json!({ "iss": "me", "exp": 100 }), 60, Err(ClaimError::Audience)),
    ] {
        assert_eq!(check(claims.clone(), now), expected, "{claims} {now}");
    }
    for odd in
        [json!({ "exp": "100" }), json!({ "exp": null }), json!({ "aud": 7 }), json!({ "iss": ["me"] }), json!([])]
    {
        assert!(serde_json::from_value::<Claims>(odd.clone()).is_err(), "{odd}");
    }
    assert!(serde_json::from_str::<Claims>(r#"{"sub":"a","sub":"b"}"#).is_err());
}

#[test]
fn a_cached_token_never_outlives_its_expiry() {
    let at = Duration::from_secs;
    let mut cache = TokenCache::new(2).longest(at(50));
    cache.insert(b"a", 1, Some(at(120)), at(100));
    cache.insert(b"b", 2, Some(at(1000)), at(100));
    assert_eq!((cache.get(b"a", at(119)).copied(), cache.get(b"a", at(120))), (Some(1), None));
    assert_eq!(
        (cache.get(b"b", at(149)).copied(), cache.get(b"b", at(99)).copied(), cache.get(b"b", at(150))),
        (Some(2), None, None)
    );
    cache.insert(b"c", 3, Some(at(100)), at(100));
    assert!(cache.is_empty());
    for token in 0..9_u8 {
        cache.insert(&[token], 0, None, at(0));
    }
    assert_eq!(cache.len(), 2);
    cache.clear();
    assert_eq!(cache.get(&[8], at(0)), None);
}
