//! JSON Web Tokens: signatures, keys, claims, and a cache of verified tokens.
//!
//! ```
//! use proxy_filter_kit::jwt::{Claims, Jwks, Rules, TokenCache};
//! use std::time::Duration;
//!
//! /// The subject of a token, or why it is refused.
//! fn subject(token: &[u8], keys: &Jwks, cache: &mut TokenCache<String>, now: Duration) -> Result<String, String> {
//!     if let Some(subject) = cache.get(token, now) {
//!         return Ok(subject.clone());
//!     }
//!     let rules = Rules::new("https://idp.example", ["api"]);
//!     let claims: Claims = keys.verify(token).map_err(|why| why.to_string())?.claims().map_err(|why| why.to_string())?;
//!     rules.check(&claims, now).map_err(|why| why.to_string())?;
//!     let subject = claims.subject.unwrap_or_default();
//!     cache.insert(token, subject.clone(), claims.expires, now);
//!     Ok(subject)
//! }
//! # let mut cache = TokenCache::new(10);
//! # assert!(subject(b"a.b.c", &Jwks::parse(br#"{"keys":[]}"#).unwrap(), &mut cache, Duration::ZERO).is_err());
//! ```
//!
//! # Features
//!
//! The feature `jwt` contains all algorithms. A filter whose issuers use few of them has a smaller
//! module with the features of those alone:
//!
//! | Feature | Algorithms |
//! |---|---|
//! | `jwt_hs` | HS256, HS384, HS512 |
//! | `jwt_rs` | RS256, RS384, RS512 |
//! | `jwt_ps` | PS256, PS384, PS512 |
//! | `jwt_es256` | ES256 |
//! | `jwt_es384` | ES384 |
//! | `jwt_eddsa` | `EdDSA` with Ed25519 |
//! | `jwt` | all of them |
//!
//! A key of an algorithm that was not compiled in is not used: [`Jwks::skipped`] lists these keys
//! for the log. A token with such an algorithm is [`Unsupported`](TokenError::Unsupported).
//!
//! # Algorithms
//!
//! A key is used only with its own algorithms, whatever algorithm a token names. `none` is not an
//! algorithm, and a public key is never an HMAC secret.
//!
//! Where the host verifies signatures, as Envoy does, [`Jwks::with_host`] uses its function. In
//! other hosts the module's own cryptography verifies them, without a change of the filter.
//!
//! Source: RFC 7515, 7517, 7518, 7519, 8037, and the advice of RFC 8725.

mod cache;
mod claims;
mod host;
mod key;
mod remote;
mod token;

pub use cache::TokenCache;
pub use claims::{ClaimError, Claims, Rules};
pub use host::{HostCheck, HostVerify};
pub use key::{Algorithm, Jwks, JwksError, Key, Skipped};
pub use remote::{RemoteError, RemoteJwks};
pub use token::{Header, TokenError, Verified};

use base64ct::{Base64UrlUnpadded, Encoding};

/// Base64 as used in JOSE: without padding, and without extra bits at the end.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(core::str::from_utf8(text).ok()?).ok()
}

// Tests have all algorithms.
#[cfg(test)]
#[cfg(feature = "jwt")]
mod tests;
#[cfg(test)]
#[cfg(feature = "jwt")]
mod vectors;
#[cfg(test)]
#[cfg(all(feature = "jwt", feature = "signature"))]
mod wycheproof;
