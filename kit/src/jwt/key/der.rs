//! Keys and signatures in DER, as hosts take them.

/// The algorithm identifier of RSA keys: `rsaEncryption`, and `NULL`.
#[cfg(any(feature = "jwt_rs", feature = "jwt_ps"))]
const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// The algorithm identifier of keys on P-256: `id-ecPublicKey`, and `secp256r1`.
#[cfg(feature = "jwt_es256")]
const P256: &[u8] = &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// The algorithm identifier of keys on P-384: `id-ecPublicKey`, and `secp384r1`.
#[cfg(feature = "jwt_es384")]
const P384: &[u8] = &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 34];

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const SEQUENCE: u8 = 0x30;

/// An element of DER: tag, length, content.
fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    let mut element = vec![tag];
    match digits.as_slice() {
        [] => element.push(0),
        [short @ ..0x80] => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            element.extend_from_slice(long);
        }
    }
    for part in content {
        element.extend_from_slice(part);
    }
    element
}

/// A number without a sign, in big endian.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    // A first bit of 1 would be a sign.
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}

fn key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[algorithm, &element(BIT_STRING, &[&[0], key])])
}

/// An RSA key, as `SubjectPublicKeyInfo`.
#[cfg(any(feature = "jwt_rs", feature = "jwt_ps"))]
pub(super) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    key(RSA, &element(SEQUENCE, &[&integer(modulus), &integer(exponent)]))
}

/// A point on P-256 without compression, as `SubjectPublicKeyInfo`.
#[cfg(feature = "jwt_es256")]
pub(super) fn p256_key(point: &[u8]) -> Vec<u8> {
    key(P256, point)
}

/// A point on P-384 without compression, as `SubjectPublicKeyInfo`.
#[cfg(feature = "jwt_es384")]
pub(super) fn p384_key(point: &[u8]) -> Vec<u8> {
    key(P384, point)
}

/// The signature of ECDSA in DER, from two numbers of this size. `None` for another length.
#[cfg(any(feature = "jwt_es256", feature = "jwt_es384"))]
pub(super) fn ecdsa_signature(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(size).filter(|(_, s)| s.len() == size)?;
    Some(element(SEQUENCE, &[&integer(r), &integer(s)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_sign_and_no_zeros_before_them() {
        for (number, expected) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[0, 7], &[2, 1, 7]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0xff, 1], &[2, 3, 0, 0xff, 1]),
        ] {
            assert_eq!(integer(number), expected, "{number:?}");
        }
    }

    #[test]
    fn lengths_have_as_many_bytes_as_they_need() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (70_000, &[4, 0x83, 1, 0x11, 0x70]),
        ] {
            let content = vec![7; length];
            assert_eq!(element(4, &[&content]), [head, &content].concat(), "{length}");
        }
    }

    #[test]
    fn keys_are_those_of_other_encoders() {
        use ::p256::ecdsa::{SigningKey, VerifyingKey};
        use ::p256::pkcs8::DecodePublicKey as _;
        use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
        use rsa::traits::PublicKeyParts;
        let private = rsa::PrivateKey::from_pkcs8_pem(include_str!("../test_key.pem")).unwrap();
        let public = private.to_public_key();
        let expected = public.to_public_key_der().unwrap();
        assert_eq!(rsa_key(&public.n_bytes(), &public.e_bytes()), expected.as_bytes());
        for number in 1..20 {
            let one = SigningKey::from_slice(&[number; 32]).unwrap();
            let point = one.verifying_key().to_sec1_point(false);
            let key = VerifyingKey::from_public_key_der(&p256_key(point.as_bytes())).unwrap();
            assert_eq!(key, *one.verifying_key());
            let other = ::p384::ecdsa::SigningKey::from_slice(&[number; 48]).unwrap();
            let point = other.verifying_key().to_sec1_point(false);
            let key = ::p384::ecdsa::VerifyingKey::from_public_key_der(&p384_key(point.as_bytes())).unwrap();
            assert_eq!(key, *other.verifying_key());
        }
    }

    #[test]
    fn a_signature_of_another_length_has_no_form() {
        for length in 0..200 {
            assert_eq!(ecdsa_signature(&vec![1; length], 32).is_some(), length == 64, "{length}");
            assert_eq!(ecdsa_signature(&vec![1; length], 48).is_some(), length == 96, "{length}");
        }
    }
}
