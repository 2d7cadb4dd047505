//! Keys on P-384, for ES384.

use super::{Algorithm, ForHost, Material, der, point};
use ::p384::ecdsa::signature::Verifier;
use ::p384::ecdsa::{Signature, VerifyingKey};

/// A point on P-384.
pub(super) struct P384(VerifyingKey);

impl P384 {
    pub(super) fn new(x: Vec<u8>, y: Vec<u8>) -> Option<Self> {
        VerifyingKey::from_sec1_bytes(&point::<48>(x, y)?).ok().map(Self)
    }
}

impl Material for P384 {
    fn kind(&self) -> &'static str {
        "P-384"
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::ES384
    }

    fn verify(&self, _: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(signed, &signature).is_ok())
    }

    fn for_host(&self, _: Algorithm, signature: &[u8]) -> Option<ForHost> {
        let key = der::p384_key(self.0.to_sec1_point(false).as_bytes());
        Some(ForHost { hash: "sha384", key, signature: der::ecdsa_signature(signature, 48)? })
    }
}
