//! Tokens in compact form, and the verification of their signatures.

use super::decode;
use super::key::{Algorithm, Jwks};
use core::fmt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long a token may be.
const MAX_TOKEN: usize = 16 * 1024;
/// How many keys are tried for a token that names none: each takes a verification.
const MAX_TRIED: usize = 4;

/// What the header of a token says.
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

/// A token whose signature was verified. Its claims are still to be checked: see [`Rules`](super::Rules).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// The bytes that were signed.
    pub payload: Vec<u8>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not three parts of base64 with a JSON object as the first, or it is longer than 16 KiB.
    Malformed,
    /// Its algorithm is `none` or another one that is not accepted, or it demands an extension (`crit`).
    Unsupported,
    /// It names a key that is not in the set. The issuer may have a new one: fetch the set again, but not more often than every few
    /// seconds, because anybody can make up such tokens.
    UnknownKey,
    /// Its signature is not by the key that it names, or by none if it names none.
    Signature,
    /// Its payload is not JSON of the type that is asked for.
    Payload,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is malformed",
            Self::Unsupported => "the token's algorithm is not accepted",
            Self::UnknownKey => "the token's key is not known",
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
    /// A name says which key to use, and no more: a key without a name goes with each token. For a token without a name, the first four keys for
    /// its algorithm are tried.
    ///
    /// # Errors
    /// The token is refused.
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
        let algorithm = Algorithm::from_name(&header.alg).filter(|_| header.crit.is_none());
        let algorithm = algorithm.ok_or(TokenError::Unsupported)?;
        let name = header.kid.as_deref();
        let is_meant = |id: &Option<String>| name.is_none() || id.is_none() || id.as_deref() == name;
        let meant = self.keys.iter().filter(|key| is_meant(&key.id) && key.is_for(algorithm));
        if meant.take(MAX_TRIED).any(|key| key.verify(algorithm, signed, &signature)) {
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
    /// Reads the payload: as [`Claims`](super::Claims), or as a type with claims of one's own.
    ///
    /// # Errors
    /// The payload is not JSON of this type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        serde_json::from_slice(&self.payload).map_err(|_| TokenError::Payload)
    }
}
