//! RSA keys, for RS256, RS384, RS512, PS256, PS384 and PS512.

use super::{Algorithm, ForHost, Material, der};
#[cfg(feature = "jwt_rs")]
use ::rsa::Pkcs1v15Sign;
#[cfg(feature = "jwt_ps")]
use ::rsa::pss::Pss;
use ::rsa::traits::{PublicKeyParts, SignatureScheme};
use ::rsa::{BoxedUint, PublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A public key of 2,048 to 4,096 bits.
pub(super) struct Rsa(PublicKey);

impl Rsa {
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let number = BoxedUint::from_be_slice_vartime;
        PublicKey::new_with_size_limits(number(modulus), number(exponent), 2048..=4096).ok().map(Self)
    }

    fn has_signed<S: SignatureScheme>(&self, scheme: S, hashed: &[u8], signature: &[u8]) -> bool {
        self.0.verify(scheme, hashed, signature).is_ok()
    }
}

impl Material for Rsa {
    fn kind(&self) -> &'static str {
        "RSA"
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
        matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512)
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            #[cfg(feature = "jwt_rs")]
            Algorithm::RS256 => self.has_signed(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(signed), signature),
            #[cfg(feature = "jwt_rs")]
            Algorithm::RS384 => self.has_signed(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(signed), signature),
            #[cfg(feature = "jwt_rs")]
            Algorithm::RS512 => self.has_signed(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(signed), signature),
            #[cfg(feature = "jwt_ps")]
            Algorithm::PS256 => self.has_signed(Pss::<Sha256>::new(), &Sha256::digest(signed), signature),
            #[cfg(feature = "jwt_ps")]
            Algorithm::PS384 => self.has_signed(Pss::<Sha384>::new(), &Sha384::digest(signed), signature),
            #[cfg(feature = "jwt_ps")]
            Algorithm::PS512 => self.has_signed(Pss::<Sha512>::new(), &Sha512::digest(signed), signature),
            _ => false,
        }
    }

    fn for_host(&self, algorithm: Algorithm, signature: &[u8]) -> Option<ForHost> {
        let hash = match algorithm {
            Algorithm::RS256 => "sha256",
            Algorithm::RS384 => "sha384",
            Algorithm::RS512 => "sha512",
            _ => return None,
        };
        let key = der::rsa_key(&self.0.n_bytes(), &self.0.e_bytes());
        Some(ForHost { hash, key, signature: signature.to_vec() })
    }
}
