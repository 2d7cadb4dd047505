//! Keys on P-256, for ES256.

use super::{Algorithm, ForHost, Material, der, point};
use ::p256::ecdsa::signature::Verifier;
use ::p256::ecdsa::{Signature, VerifyingKey};

/// A point on P-256.
pub(super) struct P256(VerifyingKey);

impl P256 {
    pub(super) fn new(x: Vec<u8>, y: Vec<u8>) -> Option<Self> {
        VerifyingKey::from_sec1_bytes(&point::<32>(x, y)?).ok().map(Self)
    }
}

impl Material for P256 {
    fn kind(&self) -> &'static str {
        "P-256"
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::ES256
    }

    fn verify(&self, _: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(signed, &signature).is_ok())
    }

    fn for_host(&self, _: Algorithm, signature: &[u8]) -> Option<ForHost> {
        let key = der::p256_key(self.0.to_sec1_point(false).as_bytes());
        Some(ForHost { hash: "sha256", key, signature: der::ecdsa_signature(signature, 32)? })
    }
}
