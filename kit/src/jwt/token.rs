//! Tokens in compact form, and the verification of their signatures.

use super::decode;
use super::key::{Algorithm, Jwks};
use core::fmt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The maximum length of a token in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// The maximum number of keys that are tried for a token without a name: each try is a
/// verification.
const MAX_TRIED: usize = 4;

/// The header of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
    /// The key's name.
    pub key_id: Option<String>,
    /// The type: `JWT`, `at+jwt`.
    pub kind: Option<String>,
}

/// A token whose signature was verified. Check its claims with [`Rules`](super::Rules).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// The bytes that were signed.
    pub payload: Vec<u8>,
}

/// The reason why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It does not have three parts of base64 with a JSON object in the first, or it is longer than
    /// 16 KiB.
    Malformed,
    /// Its algorithm is `none` or another one that is not accepted, or was not compiled in, or it
    /// requires an extension (`crit`).
    Unsupported,
    /// It names a key that is not in the set. The issuer may have a new one: fetch the set again,
    /// but only once in several seconds, because any client can invent such tokens.
    UnknownKey,
    /// The named key has not signed it, or no key has signed it if it names none.
    Signature,
    /// Its payload is not JSON of the requested type.
    Payload,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is malformed",
            Self::Unsupported => "the token's algorithm is not accepted",
            Self::UnknownKey => "the token's key is unknown",
            Self::Signature => "the token's signature is wrong",
            Self::Payload => "a claim of the token is missing or malformed",
        })
    }
}

impl std::error::Error for TokenError {}

#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Jwks {
    /// Verifies the signature of a token.
    ///
    /// A name only selects a key. A key without a name is tried for each token. For a token without
    /// a name, the first four keys for its algorithm are tried.
    ///
    /// # Errors
    /// Fails if the token is refused.
    pub fn verify(&self, token: &[u8]) -> Result<Verified, TokenError> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let signed = token.get(..header.len().saturating_add(1).saturating_add(payload.len()));
        let (Some(signed), true) = (signed, token.len() <= MAX_TOKEN) else { return Err(TokenError::Malformed) };
        let header = decode(header).and_then(|header| serde_json::from_slice::<RawHeader>(&header).ok());
        let (Some(header), Some(payload), Some(signature)) = (header, decode(payload), decode(signature)) else {
            return Err(TokenError::Malformed);
        };
        let algorithm = Algorithm::from_name(&header.alg).filter(|found| header.crit.is_none() && self.accepts(*found));
        let algorithm = algorithm.ok_or(TokenError::Unsupported)?;
        let name = header.kid.as_deref();
        let is_meant = |id: &Option<String>| name.is_none() || id.is_none() || id.as_deref() == name;
        let meant = self.keys.iter().filter(|key| is_meant(&key.id) && key.is_for(algorithm));
        if meant.take(MAX_TRIED).any(|key| self.verify_by(key, algorithm, signed, &signature)) {
            let header = Header { algorithm, key_id: header.kid, kind: header.typ };
            Ok(Verified { header, payload })
        } else if self.is_empty() || name.is_some() && self.keys.iter().all(|key| key.id.as_deref() != name) {
            Err(TokenError::UnknownKey)
        } else {
            Err(TokenError::Signature)
        }
    }
}

impl Verified {
    /// Parses the payload: as [`Claims`](super::Claims), or as your own type.
    ///
    /// # Errors
    /// Fails if the payload is not JSON of this type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        serde_json::from_slice(&self.payload).map_err(|_| TokenError::Payload)
    }
}
