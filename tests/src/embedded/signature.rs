//! Signatures: `sign` and `verify_signature`, of RSA keys with PKCS #1 v1.5. Keys of other kinds are none here, nor those of more than 4,096 bits.

use super::foreign::bytes;
use super::protobuf::{Field, field};
use proxy_filter::Status;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// `SignArguments`: hash function, private key in DER, text, private key in PEM. Answers with a `SignResult`.
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

/// `VerifySignatureArguments`: hash function, public key in DER, signature, text, public key in PEM. Answers with a `VerifySignatureResult`.
pub(super) fn verify(fields: &[(u64, Field<'_>)]) -> Result<Vec<u8>, Status> {
    let key = Key::of(fields, 2, 5)?;
    let verdict = hashed(&bytes(fields, 1), &bytes(fields, 4)).and_then(|(scheme, hash)| {
        let key = key.public().ok_or("Failed to initialize digest verify.")?;
        let verdict = key.verify(scheme, &hash, &bytes(fields, 3));
        verdict.map_err(|_| "Failed to verify digest. Error code: 0".to_owned())
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

    fn private(&self) -> Option<RsaPrivateKey> {
        match self {
            Self::Der(key) => RsaPrivateKey::from_pkcs8_der(key).ok(),
            Self::Pem(key) => {
                RsaPrivateKey::from_pkcs8_pem(key).ok().or_else(|| RsaPrivateKey::from_pkcs1_pem(key).ok())
            }
        }
    }

    fn public(&self) -> Option<RsaPublicKey> {
        match self {
            Self::Der(key) => RsaPublicKey::from_public_key_der(key).ok(),
            Self::Pem(key) => RsaPublicKey::from_public_key_pem(key).ok(),
        }
    }
}
