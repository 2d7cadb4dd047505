//! The vectors of Project Wycheproof, for the keys of tokens and of message signatures.

use super::tests::{base64, host};
use super::{Algorithm, Jwks, Key};
use crate::signature::Secret;
use crate::signature::message::VerifyingKey;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// What is compared with the result of a vector: each verifies a message and its signature.
type Verify<'a> = Box<dyn Fn(&[u8], &[u8]) -> bool + 'a>;

/// The verifiers of a key: the module's for tokens, the host's for tokens, and that of messages.
fn verifiers<'a>(jwk: &Value, algorithm: Algorithm, message: Option<&'a VerifyingKey>) -> Vec<Verify<'a>> {
    let key = Key::from_jwk(jwk.to_string().as_bytes()).unwrap_or_else(|| panic!("{jwk}"));
    assert!(key.is_for(algorithm));
    let by_host = Jwks::from_iter([key.clone()]).with_host(host);
    let mut verifiers: Vec<Verify<'a>> = vec![Box::new(move |text, signature| key.verify(algorithm, text, signature))];
    if !matches!(algorithm, Algorithm::EdDSA | Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512) {
        verifiers
            .push(Box::new(move |text, signature| by_host.verify_by(&by_host.keys()[0], algorithm, text, signature)));
    }
    verifiers.extend(message.map(|key| -> Verify<'a> { Box::new(|text, signature| key.verify(text, signature)) }));
    verifiers
}

fn number(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    base64(&bytes[zeros..])
}

/// A coordinate of a point, with as many bytes as the curve has.
fn coordinate(point: &[u8], second: bool) -> String {
    let (x, y) = point[1..].split_at(point.len() / 2);
    base64(if second { y } else { x })
}

/// Compares every verifier with the result of a vector. An acceptable signature may be refused.
fn check(verifiers: &[Verify<'_>], number: usize, comment: &str, message: &[u8], signature: &[u8], result: TestResult) {
    for (at, verify) in verifiers.iter().enumerate() {
        let is_valid = verify(message, signature);
        match result {
            TestResult::Valid => assert!(is_valid, "{number}, verifier {at}: {comment}"),
            TestResult::Invalid => assert!(!is_valid, "{number}, verifier {at}: {comment}"),
            TestResult::Acceptable => {}
        }
    }
}

#[test]
fn ecdsa_is_verified_as_in_wycheproof() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363};
    let mut count = 0;
    for (set, curve, algorithm) in
        [(EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::ES256), (EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::ES384)]
    {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let (x, y) = (coordinate(&group.key.key, false), coordinate(&group.key.key, true));
            let jwk = json!({ "kty": "EC", "crv": curve, "x": x, "y": y });
            let message = VerifyingKey::ecdsa_p256_sha256(&group.pem).ok();
            assert_eq!(message.is_some(), algorithm == Algorithm::ES256);
            let verifiers = verifiers(&jwk, algorithm, message.as_ref());
            for test in &group.tests {
                check(&verifiers, test.tc_id, &test.comment, &test.msg, &test.sig, test.result);
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
}

#[test]
fn ed25519_is_verified_as_in_wycheproof() {
    let mut count = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(&group.key.pk) });
        let message = VerifyingKey::ed25519(&group.pem).unwrap();
        let verifiers = verifiers(&jwk, Algorithm::EdDSA, Some(&message));
        for test in &group.tests {
            check(&verifiers, test.tc_id, &test.comment, &test.msg, &test.sig, test.result);
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn rsa_pkcs1_is_verified_as_in_wycheproof() {
    use rsa_pkcs1_verify::TestName as Name;
    let mut count = 0;
    for (set, algorithm) in [
        (Name::Rsa2048Sha256, Algorithm::RS256),
        (Name::Rsa2048Sha384, Algorithm::RS384),
        (Name::Rsa2048Sha512, Algorithm::RS512),
        (Name::Rsa3072Sha256, Algorithm::RS256),
        (Name::Rsa4096Sha512, Algorithm::RS512),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let jwk = json!({ "kty": "RSA", "n": number(&group.key.n), "e": number(&group.key.e) });
            // The library refuses exponents below 65,537, which these vectors have in some groups.
            if Key::from_jwk(jwk.to_string().as_bytes()).is_none() {
                assert!(group.key.e.len() < 3, "{jwk}");
                continue;
            }
            let message = VerifyingKey::rsa_v1_5_sha256(&group.pem).unwrap();
            let verifiers = verifiers(&jwk, algorithm, Some(&message).filter(|_| algorithm == Algorithm::RS256));
            for test in &group.tests {
                check(&verifiers, test.tc_id, &test.comment, &test.msg, &test.sig, test.result);
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn rsa_pss_is_verified_as_in_wycheproof() {
    use rsa_pss_verify::TestName as Name;
    let mut count = 0;
    for (set, algorithm) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Name::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (Name::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Name::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ] {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let jwk = json!({ "kty": "RSA", "n": number(&group.key.n), "e": number(&group.key.e) });
            let message = VerifyingKey::rsa_pss_sha512(&group.pem).unwrap();
            let verifiers = verifiers(&jwk, algorithm, Some(&message).filter(|_| algorithm == Algorithm::PS512));
            for test in &group.tests {
                check(&verifiers, test.tc_id, &test.comment, &test.msg, &test.sig, test.result);
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

/// Salts of another length than the hash are not those of JSON Web Algorithms (RFC 7518, section
/// 3.5).
#[test]
fn salts_of_another_length_are_refused() {
    use rsa_pss_verify::TestName as Name;
    for (set, algorithm) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256),
        (Name::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512),
    ] {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let jwk = json!({ "kty": "RSA", "n": number(&group.key.n), "e": number(&group.key.e) });
            let verifiers = verifiers(&jwk, algorithm, None);
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                assert!(!verifiers[0](&test.msg, &test.sig), "{}", test.tc_id);
            }
        }
    }
}

#[test]
fn hmac_is_verified_as_in_wycheproof() {
    use mac::TestName::{HmacSha256, HmacSha384, HmacSha512};
    let mut count = 0;
    for (set, algorithm, size) in
        [(HmacSha256, Algorithm::HS256, 32), (HmacSha384, Algorithm::HS384, 48), (HmacSha512, Algorithm::HS512, 64)]
    {
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in &group.tests {
                let key = Key::secret(None, test.key.to_vec()).filter(|key| key.is_for(algorithm));
                assert_eq!(key.is_some(), test.key.len() >= size, "a short secret is refused");
                let Some(key) = key else { continue };
                // A tag that was shortened is not one of JSON Web Algorithms.
                let is_valid = test.result == TestResult::Valid && test.tag.len() == size;
                assert_eq!(key.verify(algorithm, &test.msg, &test.tag), is_valid, "{}: {}", test.tc_id, test.comment);
                if algorithm == Algorithm::HS256 {
                    let secret = Secret::new(&test.key).unwrap();
                    assert_eq!(secret.verify(&test.msg, &test.tag), is_valid, "{}: {}", test.tc_id, test.comment);
                }
                count += 1;
            }
        }
    }
    assert!(count > 150, "{count}");
}
