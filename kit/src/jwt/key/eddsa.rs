//! Keys on Ed25519, for `EdDSA`.

use super::{Algorithm, Material};
use ed25519_dalek::{Signature, VerifyingKey};

/// A point on Ed25519.
pub(super) struct Ed25519(VerifyingKey);

impl Ed25519 {
    pub(super) fn new(x: Vec<u8>) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&x.try_into().ok()?).ok()?;
        // With a weak key, one signature is valid for many messages.
        (!key.is_weak()).then_some(Self(key))
    }
}

impl Material for Ed25519 {
    fn kind(&self) -> &'static str {
        "Ed25519"
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::EdDSA
    }

    fn verify(&self, _: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(signed, &signature).is_ok())
    }
}
