//! Secrets for HS256, HS384 and HS512.

use super::{Algorithm, Material};
use ::hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// A secret that is shared with the issuer.
pub(super) struct Secret(Vec<u8>);

/// The minimum length of a secret in bytes: a shorter one can be guessed from one token.
const MIN: usize = 32;

impl Secret {
    pub(super) fn new(secret: Vec<u8>) -> Option<Self> {
        (secret.len() >= MIN).then_some(Self(secret))
    }
}

impl Material for Secret {
    fn kind(&self) -> &'static str {
        "secret"
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::HS256 => self.0.len() >= MIN,
            Algorithm::HS384 => self.0.len() >= 48,
            Algorithm::HS512 => self.0.len() >= 64,
            _ => false,
        }
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            Algorithm::HS256 => is_tag::<Hmac<Sha256>>(&self.0, signed, signature),
            Algorithm::HS384 => is_tag::<Hmac<Sha384>>(&self.0, signed, signature),
            Algorithm::HS512 => is_tag::<Hmac<Sha512>>(&self.0, signed, signature),
            _ => false,
        }
    }
}

fn is_tag<D: KeyInit + Mac>(secret: &[u8], signed: &[u8], tag: &[u8]) -> bool {
    let Ok(mut mac) = <D as KeyInit>::new_from_slice(secret) else { return false };
    mac.update(signed);
    mac.verify_slice(tag).is_ok()
}
