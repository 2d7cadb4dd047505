//! Keys of message signatures.

use crate::signature::Secret;
use core::fmt;
use ed25519_dalek::ed25519::signature::Signer;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::Pkcs1v15Sign;
use rsa::pss::Pss;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256, Sha512};

/// The reason why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is malformed, of another algorithm, or too weak")
    }
}

impl std::error::Error for KeyError {}

/// A key that signs with one algorithm.
#[derive(Clone)]
pub struct SigningKey(Private);

#[derive(Clone)]
enum Private {
    Secret(Secret),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}

impl SigningKey {
    /// Creates a shared secret of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    /// Fails for fewer bytes.
    pub fn hmac_sha256(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Secret::new(secret).map(|secret| Self(Private::Secret(secret))).ok_or(KeyError)
    }

    /// Reads a private key for `ed25519`: PKCS #8 in PEM.
    ///
    /// # Errors
    /// Fails if the text is not such a key.
    pub fn ed25519(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError)?;
        Ok(Self(Private::Ed25519(Box::new(key))))
    }

    /// Reads a private key for `ecdsa-p256-sha256`: PKCS #8 in PEM.
    ///
    /// # Errors
    /// Fails if the text is not such a key.
    pub fn ecdsa_p256_sha256(pem: &str) -> Result<Self, KeyError> {
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError)?;
        Ok(Self(Private::P256(Box::new(key))))
    }

    /// Returns the name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Private::Secret(_) => "hmac-sha256",
            Private::Ed25519(_) => "ed25519",
            Private::P256(_) => "ecdsa-p256-sha256",
        }
    }

    /// Signs a signature base. ECDSA signatures are deterministic (RFC 6979).
    pub(super) fn sign(&self, base: &[u8]) -> Vec<u8> {
        match &self.0 {
            Private::Secret(secret) => secret.sign(base).to_vec(),
            Private::Ed25519(key) => key.sign(base).to_bytes().to_vec(),
            Private::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(base);
                signature.to_bytes().to_vec()
            }
        }
    }
}

/// A key that verifies signatures of one algorithm.
#[derive(Clone)]
pub struct VerifyingKey(Public);

#[derive(Clone)]
enum Public {
    Secret(Secret),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    Rsa(Box<rsa::PublicKey>),
    RsaPss(Box<rsa::PublicKey>),
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.algorithm())
    }
}

impl VerifyingKey {
    /// Creates a shared secret of at least 32 bytes, for `hmac-sha256`.
    ///
    /// # Errors
    /// Fails for fewer bytes.
    pub fn hmac_sha256(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Secret::new(secret).map(|secret| Self(Public::Secret(secret))).ok_or(KeyError)
    }

    /// Reads a public key for `ed25519`: PEM with `BEGIN PUBLIC KEY`.
    ///
    /// # Errors
    /// Fails if the text is not such a key, or if the key is weak.
    pub fn ed25519(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError)?;
        // With a weak key, one signature is valid for many messages.
        if key.is_weak() { Err(KeyError) } else { Ok(Self(Public::Ed25519(Box::new(key)))) }
    }

    /// Reads a public key for `ecdsa-p256-sha256`: PEM with `BEGIN PUBLIC KEY`.
    ///
    /// # Errors
    /// Fails if the text is not such a key.
    pub fn ecdsa_p256_sha256(pem: &str) -> Result<Self, KeyError> {
        let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError)?;
        Ok(Self(Public::P256(Box::new(key))))
    }

    /// Reads a public key for `rsa-pss-sha512`: PEM with `BEGIN PUBLIC KEY`, 2048 to 4096 bits.
    ///
    /// # Errors
    /// Fails if the text is not such a key.
    pub fn rsa_pss_sha512(pem: &str) -> Result<Self, KeyError> {
        rsa_key(pem).map(|key| Self(Public::RsaPss(key)))
    }

    /// Reads a public key for `rsa-v1_5-sha256`: PEM with `BEGIN PUBLIC KEY`, 2048 to 4096 bits.
    ///
    /// # Errors
    /// Fails if the text is not such a key.
    pub fn rsa_v1_5_sha256(pem: &str) -> Result<Self, KeyError> {
        rsa_key(pem).map(|key| Self(Public::Rsa(key)))
    }

    /// Returns the name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Public::Secret(_) => "hmac-sha256",
            Public::Ed25519(_) => "ed25519",
            Public::P256(_) => "ecdsa-p256-sha256",
            Public::Rsa(_) => "rsa-v1_5-sha256",
            Public::RsaPss(_) => "rsa-pss-sha512",
        }
    }

    pub(crate) fn verify(&self, base: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Secret(secret) => secret.verify(base, signature),
            Public::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(base, &signature).is_ok()),
            Public::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(base, &signature).is_ok()),
            Public::Rsa(key) => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(base), signature).is_ok(),
            Public::RsaPss(key) => key.verify(Pss::<Sha512>::new(), &Sha512::digest(base), signature).is_ok(),
        }
    }
}

fn rsa_key(pem: &str) -> Result<Box<rsa::PublicKey>, KeyError> {
    let key = rsa::PublicKey::from_public_key_pem(pem).map_err(|_| KeyError)?;
    if (256..=512).contains(&key.size()) { Ok(Box::new(key)) } else { Err(KeyError) }
}
