//! Keys and key sets.

use super::decode;
use super::host::{self, HostVerify};
use core::cell::Cell;
use core::fmt;
use ed25519_dalek as ed25519;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::pss::Pss;
use rsa::traits::{PublicKeyParts, SignatureScheme};
use rsa::{BoxedUint, Pkcs1v15Sign};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "their names are those of RFC 7518 and 8037")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// Returns the algorithm with this name; `None` for others, including `none`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" | "Ed25519" => Self::EdDSA,
            _ => return None,
        })
    }
}

/// A key that verifies signatures.
#[derive(Clone)]
pub struct Key {
    pub(super) id: Option<String>,
    /// The only algorithm of the key, if it names one.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(Vec<u8>),
    Rsa(rsa::PublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519::VerifyingKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.material {
            Material::Secret(_) => "secret",
            Material::Rsa(_) => "RSA",
            Material::P256(_) => "P-256",
            Material::P384(_) => "P-384",
            Material::Ed25519(_) => "Ed25519",
        };
        write!(f, "Key({kind}, {:?})", self.id)
    }
}

fn mac<D: KeyInit + Mac>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = <D as KeyInit>::new_from_slice(secret) else { return false };
    mac.update(signed);
    mac.verify_slice(signature).is_ok()
}

fn rsa<S: SignatureScheme>(key: &rsa::PublicKey, scheme: S, hashed: &[u8], signature: &[u8]) -> bool {
    key.verify(scheme, hashed, signature).is_ok()
}

impl Key {
    /// Creates an HMAC secret that is shared with the issuer. It is for the algorithms whose hash
    /// is not longer than the secret: 32 bytes for HS256, 48 for HS384, 64 for HS512. Returns
    /// `None` for fewer than 32 bytes, because they can be guessed from one token.
    ///
    /// Source: RFC 7518, section 3.2.
    pub fn secret(id: Option<String>, secret: impl Into<Vec<u8>>) -> Option<Self> {
        let secret = secret.into();
        (secret.len() >= 32).then_some(Self { id, only: None, material: Material::Secret(secret) })
    }

    /// Parses one key as JSON (a JWK): a public key or a secret (`oct`). Returns `None` if the key
    /// has another kind or use, or is malformed.
    pub fn from_jwk(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Jwk>(json).ok()?.key(true)
    }

    /// Returns the key's name (`kid`).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the key is for an algorithm.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
        if self.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        match &self.material {
            Material::Secret(secret) => match algorithm {
                HS256 => secret.len() >= 32,
                HS384 => secret.len() >= 48,
                HS512 => secret.len() >= 64,
                _ => false,
            },
            Material::Rsa(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Material::P256(_) => algorithm == ES256,
            Material::P384(_) => algorithm == ES384,
            Material::Ed25519(_) => algorithm == EdDSA,
        }
    }

    /// Whether this key has signed these bytes.
    pub fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        match (&self.material, algorithm) {
            (Material::Secret(secret), Algorithm::HS256) => mac::<Hmac<Sha256>>(secret, signed, signature),
            (Material::Secret(secret), Algorithm::HS384) => mac::<Hmac<Sha384>>(secret, signed, signature),
            (Material::Secret(secret), Algorithm::HS512) => mac::<Hmac<Sha512>>(secret, signed, signature),
            (Material::Rsa(key), Algorithm::RS256) => {
                rsa(key, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(signed), signature)
            }
            (Material::Rsa(key), Algorithm::RS384) => {
                rsa(key, Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(signed), signature)
            }
            (Material::Rsa(key), Algorithm::RS512) => {
                rsa(key, Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(signed), signature)
            }
            (Material::Rsa(key), Algorithm::PS256) => {
                rsa(key, Pss::<Sha256>::new(), &Sha256::digest(signed), signature)
            }
            (Material::Rsa(key), Algorithm::PS384) => {
                rsa(key, Pss::<Sha384>::new(), &Sha384::digest(signed), signature)
            }
            (Material::Rsa(key), Algorithm::PS512) => {
                rsa(key, Pss::<Sha512>::new(), &Sha512::digest(signed), signature)
            }
            (Material::P256(key), Algorithm::ES256) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            (Material::P384(key), Algorithm::ES384) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            (Material::Ed25519(key), Algorithm::EdDSA) => ed25519::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            _ => false,
        }
    }

    /// Returns the hash, the key and the signature for the host's function. `None` if that function
    /// does not know the algorithm, or if the signature has another length.
    fn for_host(&self, algorithm: Algorithm, signature: &[u8]) -> Option<(&'static str, Vec<u8>, Vec<u8>)> {
        let hash = match algorithm {
            Algorithm::RS256 | Algorithm::ES256 => "sha256",
            Algorithm::RS384 | Algorithm::ES384 => "sha384",
            Algorithm::RS512 => "sha512",
            _ => return None,
        };
        let (key, signature) = match &self.material {
            Material::Rsa(key) => (host::rsa_key(&key.n_bytes(), &key.e_bytes()), signature.to_vec()),
            Material::P256(key) => {
                (host::p256_key(key.to_sec1_point(false).as_bytes()), host::ecdsa_signature(signature, 32)?)
            }
            Material::P384(key) => {
                (host::p384_key(key.to_sec1_point(false).as_bytes()), host::ecdsa_signature(signature, 48)?)
            }
            Material::Secret(_) | Material::Ed25519(_) => return None,
        };
        Some((hash, key, signature))
    }
}

/// A set of keys: the issuer's JWKS, or your own keys.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    pub(super) keys: Vec<Key>,
    /// The accepted algorithms; `None` for all.
    only: Option<Vec<Algorithm>>,
    /// The host's function, until it is known to be missing.
    host: Cell<Option<HostVerify>>,
}

/// The text is not a set of keys, which is an object with the array `keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwksError;

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the JWKS is not a JSON object with the array `keys`")
    }
}

impl std::error::Error for JwksError {}

impl Jwks {
    /// The maximum number of keys in a set.
    pub const MAX_KEYS: usize = 100;

    /// Parses a set of public keys. An entry that has another kind or use, or is malformed, is
    /// skipped without an effect on others (RFC 7517, section 5). Secrets (`oct`) are skipped,
    /// because a published secret is not secret. A byte-order mark before the set is skipped. Bytes
    /// that are not UTF-8 invalidate only their entry. At most [`MAX_KEYS`](Self::MAX_KEYS) keys
    /// are stored.
    ///
    /// # Errors
    /// Fails if the text is not a set of keys. A set without usable keys is not an error: see
    /// [`is_empty`](Self::is_empty).
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        let text = String::from_utf8_lossy(json);
        let set: JwkSet<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| JwksError)?;
        let entries = set.keys.into_iter().filter_map(|entry| serde_json::from_str::<Jwk>(entry.get()).ok());
        Ok(entries.filter_map(|entry| entry.key(false)).take(Self::MAX_KEYS).collect())
    }

    /// Accepts only these algorithms, and keeps only keys for them. A token with another one is
    /// [`Unsupported`](super::TokenError::Unsupported). By default all algorithms are accepted,
    /// each with its own kind of key.
    ///
    /// Source: RFC 8725, section 3.1.
    #[must_use]
    pub fn only(mut self, algorithms: &[Algorithm]) -> Self {
        self.keys.retain(|key| algorithms.iter().any(|algorithm| key.is_for(*algorithm)));
        self.only = Some(algorithms.to_vec());
        self
    }

    /// Verifies signatures with a function of the host where it exists: those of RS256, RS384,
    /// RS512, ES256 and ES384. The function is tried once in a set of keys; if it returns `None`,
    /// the module's own cryptography verifies this and all later signatures.
    #[must_use]
    pub fn with_host(self, verify: HostVerify) -> Self {
        self.host.set(Some(verify));
        self
    }

    /// Returns the keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether tokens with this algorithm are accepted.
    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&algorithm))
    }

    /// Whether a key of the set has signed these bytes.
    pub(super) fn verify_by(&self, key: &Key, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if let Some(verify) = self.host.get()
            && let Some((hash, key, signature)) = key.for_host(algorithm, signature)
        {
            match verify(&host::HostCheck { hash, key: &key, signed, signature: &signature }) {
                Some(is_valid) => return is_valid,
                None => self.host.set(None),
            }
        }
        key.verify(algorithm, signed, signature)
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl FromIterator<Key> for Jwks {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect(), only: None, host: Cell::new(None) }
    }
}

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// A key as it is published. A key of an unknown kind may have other members, and any member may
/// have any type.
#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: String,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    // The same member may have any meaning in a key of another kind.
    #[serde(default, deserialize_with = "text")]
    crv: Option<String>,
    #[serde(default, deserialize_with = "text")]
    x: Option<String>,
    #[serde(default, deserialize_with = "text")]
    y: Option<String>,
    #[serde(default, deserialize_with = "text")]
    n: Option<String>,
    #[serde(default, deserialize_with = "text")]
    e: Option<String>,
    #[serde(default, deserialize_with = "text")]
    k: Option<String>,
}

/// A member with text. A member of another type counts as missing.
fn text<'de, D: Deserializer<'de>>(member: D) -> Result<Option<String>, D::Error> {
    let member = Box::<RawValue>::deserialize(member)?;
    Ok(serde_json::from_str(member.get()).ok())
}

impl Jwk {
    fn key(self, with_secrets: bool) -> Option<Key> {
        let is_for_verifying = self.r#use.as_deref().is_none_or(|used| used == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        // A key for an unknown algorithm is not used for a known one.
        let only = match &self.alg {
            Some(name) => Some(Algorithm::from_name(name)?),
            None => None,
        };
        let bytes = |member: &Option<String>| decode(member.as_ref()?.as_bytes());
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let point = point::<32>(bytes(&self.x)?, bytes(&self.y)?)?;
                Material::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?)
            }
            ("EC", Some("P-384")) => {
                let point = point::<48>(bytes(&self.x)?, bytes(&self.y)?)?;
                Material::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                let key = ed25519::VerifyingKey::from_bytes(&coordinate(bytes(&self.x)?)?).ok()?;
                // With a weak key, one signature is valid for many messages.
                Material::Ed25519(Some(key).filter(|key| !key.is_weak())?)
            }
            ("RSA", _) => {
                let number = |member| Some(BoxedUint::from_be_slice_vartime(&bytes(member)?));
                Material::Rsa(
                    rsa::PublicKey::new_with_size_limits(number(&self.n)?, number(&self.e)?, 2048..=4096).ok()?,
                )
            }
            ("oct", _) if with_secrets => Material::Secret(bytes(&self.k).filter(|secret| secret.len() >= 32)?),
            _ => return None,
        };
        let key = Key { id: self.kid, only, material };
        (is_for_verifying && only.is_none_or(|only| key.is_for(only))).then_some(key)
    }
}

fn coordinate<const N: usize>(bytes: Vec<u8>) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// A point without compression (SEC 1, section 2.3.3).
fn point<const N: usize>(x: Vec<u8>, y: Vec<u8>) -> Option<Vec<u8>> {
    let (x, y) = (coordinate::<N>(x)?, coordinate::<N>(y)?);
    Some([&[4][..], &x, &y].concat())
}
