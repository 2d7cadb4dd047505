//! Keys and key sets.

#[cfg(any(feature = "jwt_rs", feature = "jwt_ps", feature = "jwt_es256", feature = "jwt_es384"))]
mod der;
#[cfg(feature = "jwt_eddsa")]
mod eddsa;
#[cfg(feature = "jwt_es256")]
mod es256;
#[cfg(feature = "jwt_es384")]
mod es384;
#[cfg(feature = "jwt_hs")]
mod hmac;
#[cfg(any(feature = "jwt_rs", feature = "jwt_ps"))]
mod rsa;

use super::decode;
use super::host::{HostCheck, HostVerify};
use core::cell::Cell;
use core::fmt;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::sync::Arc;

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

    /// Returns the feature of this crate that contains the algorithm.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => "jwt_hs",
            Self::RS256 | Self::RS384 | Self::RS512 => "jwt_rs",
            Self::PS256 | Self::PS384 | Self::PS512 => "jwt_ps",
            Self::ES256 => "jwt_es256",
            Self::ES384 => "jwt_es384",
            Self::EdDSA => "jwt_eddsa",
        }
    }

    /// Whether the algorithm was compiled in.
    pub const fn is_compiled(self) -> bool {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => cfg!(feature = "jwt_hs"),
            Self::RS256 | Self::RS384 | Self::RS512 => cfg!(feature = "jwt_rs"),
            Self::PS256 | Self::PS384 | Self::PS512 => cfg!(feature = "jwt_ps"),
            Self::ES256 => cfg!(feature = "jwt_es256"),
            Self::ES384 => cfg!(feature = "jwt_es384"),
            Self::EdDSA => cfg!(feature = "jwt_eddsa"),
        }
    }
}

/// A key that verifies signatures.
#[derive(Clone)]
pub struct Key {
    pub(super) id: Option<String>,
    /// The only algorithm of the key, if it names one.
    only: Option<Algorithm>,
    material: Arc<dyn Material>,
}

/// What verifies signatures of one family of algorithms.
trait Material: Send + Sync {
    /// The name of the kind of key.
    fn kind(&self) -> &'static str;

    /// Whether the key is for an algorithm, whether that was compiled in or not.
    fn is_for(&self, algorithm: Algorithm) -> bool;

    /// Whether this key has signed these bytes, by an algorithm that it is for.
    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool;

    /// Returns what the host's function takes. `None` if that function does not know the algorithm,
    /// or if the signature has another length.
    fn for_host(&self, algorithm: Algorithm, signature: &[u8]) -> Option<ForHost> {
        let _ = (algorithm, signature);
        None
    }
}

/// The name of the hash, the key and the signature, for the host's function.
#[cfg_attr(
    not(any(feature = "jwt_rs", feature = "jwt_ps", feature = "jwt_es256", feature = "jwt_es384")),
    allow(dead_code, reason = "hosts verify neither HMAC nor Ed25519")
)]
struct ForHost {
    hash: &'static str,
    key: Vec<u8>,
    signature: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {:?})", self.material.kind(), self.id)
    }
}

impl Key {
    /// Creates an HMAC secret that is shared with the issuer. It is for the algorithms whose hash
    /// is not longer than the secret: 32 bytes for HS256, 48 for HS384, 64 for HS512. Returns
    /// `None` for fewer than 32 bytes, because they can be guessed from one token.
    ///
    /// Source: RFC 7518, section 3.2.
    #[cfg(feature = "jwt_hs")]
    pub fn secret(id: Option<String>, secret: impl Into<Vec<u8>>) -> Option<Self> {
        Some(Self { id, only: None, material: Arc::new(hmac::Secret::new(secret.into())?) })
    }

    /// Parses one key as JSON (a JWK): a public key or a secret (`oct`). Returns `None` if the key
    /// has another kind or use, or is malformed, or if its algorithm was not compiled in.
    pub fn from_jwk(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Jwk>(json).ok()?.key(true).ok()
    }

    /// Returns the key's name (`kid`).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the key is for an algorithm. It is for none that was not compiled in.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        algorithm.is_compiled() && self.only.is_none_or(|only| only == algorithm) && self.material.is_for(algorithm)
    }

    /// Whether this key has signed these bytes.
    pub fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.is_for(algorithm) && self.material.verify(algorithm, signed, signature)
    }
}

/// A public key of an issuer that is not used, because its algorithm was not compiled in.
///
/// ```
/// use proxy_filter_kit::jwt::{Algorithm, Jwks};
///
/// let set = br#"{"keys":[{"kty":"EC","crv":"P-384","kid":"2026"}]}"#;
/// for skipped in Jwks::parse(set).unwrap().skipped() {
///     assert!(!skipped.algorithm.is_compiled() && skipped.algorithm == Algorithm::ES384);
///     eprintln!("{skipped}"); // the key "2026" is skipped: …
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The key's name. The issuer chooses it.
    pub id: Option<String>,
    /// The algorithm of the key, or the first of those that it is for.
    pub algorithm: Algorithm,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "the key {id:?} is skipped")?,
            None => f.write_str("a key without a name is skipped")?,
        }
        let (algorithm, feature) = (self.algorithm, self.algorithm.feature());
        write!(f, ": its algorithm {algorithm:?} needs the feature `{feature}` of proxy-filter-kit")
    }
}

/// A set of keys: the issuer's JWKS, or your own keys.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    pub(super) keys: Vec<Key>,
    /// The accepted algorithms; `None` for all.
    only: Option<Vec<Algorithm>>,
    /// The keys whose algorithms were not compiled in.
    skipped: Vec<Skipped>,
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
    /// skipped without an effect on others (RFC 7517, section 5). So is a key whose algorithm was
    /// not compiled in: see [`skipped`](Self::skipped). Secrets (`oct`) are skipped,
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
        let mut keys = Self::default();
        for jwk in set.keys.into_iter().filter_map(|entry| serde_json::from_str::<Jwk>(entry.get()).ok()) {
            match jwk.key(false) {
                Ok(key) => keys.keys.push(key),
                Err(Some(skipped)) if keys.skipped.len() < Self::MAX_KEYS => keys.skipped.push(skipped),
                Err(_) => {}
            }
            if keys.len() == Self::MAX_KEYS {
                break;
            }
        }
        Ok(keys)
    }

    /// Returns the keys that are not used because their algorithms were not compiled in. Write them
    /// to the log, or a user cannot see why tokens of these keys are refused.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
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
        algorithm.is_compiled() && self.only.as_ref().is_none_or(|only| only.contains(&algorithm))
    }

    /// Whether a key of the set has signed these bytes.
    pub(super) fn verify_by(&self, key: &Key, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if let Some(verify) = self.host.get()
            && let Some(ForHost { hash, key, signature }) = key.material.for_host(algorithm, signature)
        {
            match verify(&HostCheck { hash, key: &key, signed, signature: &signature }) {
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
        Self { keys: keys.into_iter().collect(), ..Self::default() }
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
#[cfg_attr(not(feature = "jwt"), allow(dead_code, reason = "each kind of key has other members"))]
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
    /// Returns the key.
    ///
    /// # Errors
    /// The key is of another kind, or malformed. If its algorithm was not compiled in, returns its
    /// name.
    fn key(self, with_secrets: bool) -> Result<Key, Option<Skipped>> {
        let is_for_verifying = self.r#use.as_deref().is_none_or(|used| used == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        // A key for an unknown algorithm is not used for a known one.
        let only = match &self.alg {
            Some(name) => Some(Algorithm::from_name(name).ok_or(None)?),
            None => None,
        };
        let algorithms = self.algorithms(with_secrets);
        let mut meant = algorithms.iter().copied().filter(|algorithm| only.is_none_or(|only| only == *algorithm));
        let first = meant.next().filter(|_| is_for_verifying).ok_or(None)?;
        if !first.is_compiled() && !meant.any(Algorithm::is_compiled) {
            return Err(Some(Skipped { id: self.kid, algorithm: first }));
        }
        let material = self.material().ok_or(None)?;
        let key = Key { id: self.kid, only, material };
        if only.is_none_or(|only| key.is_for(only)) { Ok(key) } else { Err(None) }
    }

    /// The algorithms of this kind of key.
    fn algorithms(&self, with_secrets: bool) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => &[ES256],
            ("EC", Some("P-384")) => &[ES384],
            ("OKP", Some("Ed25519")) => &[EdDSA],
            ("RSA", _) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            ("oct", _) if with_secrets => &[HS256, HS384, HS512],
            _ => &[],
        }
    }

    /// What verifies, of a kind with an algorithm that was compiled in.
    fn material(&self) -> Option<Arc<dyn Material>> {
        let bytes = |member: &Option<String>| decode(member.as_ref()?.as_bytes());
        Some(match (self.kty.as_str(), self.crv.as_deref()) {
            #[cfg(feature = "jwt_es256")]
            ("EC", Some("P-256")) => Arc::new(es256::P256::new(bytes(&self.x)?, bytes(&self.y)?)?),
            #[cfg(feature = "jwt_es384")]
            ("EC", Some("P-384")) => Arc::new(es384::P384::new(bytes(&self.x)?, bytes(&self.y)?)?),
            #[cfg(feature = "jwt_eddsa")]
            ("OKP", Some("Ed25519")) => Arc::new(eddsa::Ed25519::new(bytes(&self.x)?)?),
            #[cfg(any(feature = "jwt_rs", feature = "jwt_ps"))]
            ("RSA", _) => Arc::new(rsa::Rsa::new(&bytes(&self.n)?, &bytes(&self.e)?)?),
            #[cfg(feature = "jwt_hs")]
            ("oct", _) => Arc::new(hmac::Secret::new(bytes(&self.k)?)?),
            _ => return None,
        })
    }
}

/// A point without compression (SEC 1, section 2.3.3), from two numbers of this size.
#[cfg(any(feature = "jwt_es256", feature = "jwt_es384"))]
fn point<const N: usize>(x: Vec<u8>, y: Vec<u8>) -> Option<Vec<u8>> {
    let (x, y): ([u8; N], [u8; N]) = (x.try_into().ok()?, y.try_into().ok()?);
    Some([&[4][..], &x, &y].concat())
}
