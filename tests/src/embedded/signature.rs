//! Signatures: `sign` and `verify_signature`, of RSA keys of 512 to 8,192 bits with PKCS #1 v1.5,
//! and `verify_signature` with ECDSA on P-256 and P-384. Keys of other kinds are none here.

use super::protobuf::{Field, bytes, field};
use crate::base64;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use proxy_filter::Status;
use rsa::pkcs1::der::Decode;
use rsa::pkcs1::{DecodeRsaPrivateKey, RsaPublicKeyRef};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, SubjectPublicKeyInfoRef};
use rsa::{BoxedUint, Pkcs1v15Sign};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// `SignArguments`: hash function, private key in DER, text, private key in PEM. Answers with a
/// `SignResult`.
pub(super) fn sign(fields: &[(u64, Field<'_>)]) -> Result<Vec<u8>, Status> {
    let key = Key::of(fields, 2, 4)?;
    let signature = hashed(&bytes(fields, 1), &bytes(fields, 3)).and_then(|(scheme, hash)| {
        let key = key.private().ok_or("Invalid key type: private key required for signing operation.")?;
        key.sign(scheme, &hash).map_err(|error| format!("Failed to sign: {error}"))
    });
    Ok(match signature {
        Ok(signature) => [TRUE.to_vec(), field(2, &signature)].concat(),
        Err(error) => field(3, error.as_bytes()),
    })
}

/// `VerifySignatureArguments`: hash function, public key in DER, signature, text, public key in
/// PEM. Answers with a `VerifySignatureResult`.
pub(super) fn verify(fields: &[(u64, Field<'_>)]) -> Result<Vec<u8>, Status> {
    let key = Key::of(fields, 2, 5)?;
    let verdict = hashed(&bytes(fields, 1), &bytes(fields, 4)).and_then(|(scheme, hash)| {
        let key = key.public().ok_or("Failed to initialize digest verify.")?;
        let verdict = key.verify(scheme, &hash, &bytes(fields, 3));
        verdict.ok_or_else(|| "Failed to verify digest. Error code: 0".to_owned())
    });
    Ok(match verdict {
        Ok(()) => TRUE.to_vec(),
        Err(error) => field(2, error.as_bytes()),
    })
}

/// Field 1 of both results.
const TRUE: [u8; 2] = [0x08, 1];

/// The hash of a text, and the scheme that signs it.
fn hashed(function: &[u8], text: &[u8]) -> Result<(Pkcs1v15Sign, Vec<u8>), String> {
    match function.to_ascii_lowercase().as_slice() {
        b"sha1" => Ok((Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(text).to_vec())),
        b"sha224" => Ok((Pkcs1v15Sign::new::<Sha224>(), Sha224::digest(text).to_vec())),
        b"sha256" => Ok((Pkcs1v15Sign::new::<Sha256>(), Sha256::digest(text).to_vec())),
        b"sha384" => Ok((Pkcs1v15Sign::new::<Sha384>(), Sha384::digest(text).to_vec())),
        b"sha512" => Ok((Pkcs1v15Sign::new::<Sha512>(), Sha512::digest(text).to_vec())),
        _ => Err(format!("{} is not supported.", String::from_utf8_lossy(function))),
    }
}

/// A key as the module gives it.
enum Key {
    Der(Vec<u8>),
    Pem(String),
}

impl Key {
    /// The key in PEM if there is one, else that in DER. Without any, Envoy refuses the call.
    fn of(fields: &[(u64, Field<'_>)], der: u64, pem: u64) -> Result<Self, Status> {
        match (bytes(fields, der), bytes(fields, pem)) {
            (der, pem) if der.is_empty() && pem.is_empty() => Err(Status::BAD_ARGUMENT),
            (der, pem) if pem.is_empty() => Ok(Self::Der(der)),
            (_, pem) => Ok(Self::Pem(String::from_utf8_lossy(&pem).into_owned())),
        }
    }

    fn private(&self) -> Option<rsa::PrivateKey> {
        match self {
            Self::Der(key) => rsa::PrivateKey::from_pkcs8_der(first(key)?).ok(),
            Self::Pem(key) => match block(key, &["PRIVATE KEY", "RSA PRIVATE KEY"])? {
                ("PRIVATE KEY", key) => rsa::PrivateKey::from_pkcs8_der(&key).ok(),
                (_, key) => rsa::PrivateKey::from_pkcs1_der(&key).ok(),
            },
        }
    }

    fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Der(key) => PublicKey::read(first(key)?),
            Self::Pem(key) => PublicKey::read(first(&block(key, &["PUBLIC KEY"])?.1)?),
        }
    }
}

/// A public key of one of the kinds that are here.
enum PublicKey {
    Rsa(rsa::PublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`.
    fn read(der: &[u8]) -> Option<Self> {
        let rsa = || Some(Self::Rsa(rsa(der)?));
        let p256 = || Some(Self::P256(p256::ecdsa::VerifyingKey::from_public_key_der(der).ok()?));
        let p384 = || Some(Self::P384(p384::ecdsa::VerifyingKey::from_public_key_der(der).ok()?));
        rsa().or_else(p256).or_else(p384)
    }

    /// `None` unless this is the signature of the hash.
    fn verify(&self, scheme: Pkcs1v15Sign, hash: &[u8], signature: &[u8]) -> Option<()> {
        // A hash is a number: a short one begins with zeros, of a long one the beginning counts.
        let padded = |size: usize| [vec![0; size.saturating_sub(hash.len())], hash.to_vec()].concat();
        match self {
            Self::Rsa(key) => key.verify(scheme, hash, signature).ok(),
            Self::P256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
                key.verify_prehash(&padded(32), &signature).ok()
            }
            Self::P384(key) => {
                let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
                key.verify_prehash(&padded(48), &signature).ok()
            }
        }
    }
}

/// An RSA key of a size that Envoy takes.
fn rsa(der: &[u8]) -> Option<rsa::PublicKey> {
    const RSA: &str = "1.2.840.113549.1.1.1";
    let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
    if info.algorithm.oid.to_string() != RSA {
        return None;
    }
    let key = RsaPublicKeyRef::from_der(info.subject_public_key.as_bytes()?).ok()?;
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, u32::try_from(bytes.len() * 8).ok()?).ok();
    let (modulus, exponent) = (number(key.modulus.as_bytes())?, number(key.public_exponent.as_bytes())?);
    rsa::PublicKey::new_with_size_limits(modulus, exponent, 512..=8192).ok()
}

/// The first element of DER. What follows it does not count.
fn first(der: &[u8]) -> Option<&[u8]> {
    let (length, header) = match *der.get(1)? {
        short @ ..0x80 => (usize::from(short), 2),
        long => {
            let size = usize::from(long & 0x7f);
            let bytes = der.get(2..2 + size)?;
            (
                bytes.iter().try_fold(0_usize, |length, byte| Some(length.checked_mul(256)? + usize::from(*byte)))?,
                2 + size,
            )
        }
    };
    der.get(..header.checked_add(length)?)
}

/// The first block of PEM with one of these labels, and its bytes. What is around it does not
/// count, and a line may have any length.
fn block<'a>(text: &str, labels: &[&'a str]) -> Option<(&'a str, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim_end);
    loop {
        let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next()? {
                line if line == end => break,
                line => body.push_str(line),
            }
        }
        if let Some(label) = labels.iter().find(|wanted| **wanted == label) {
            return Some((label, base64::decode(&body)?));
        }
    }
}
