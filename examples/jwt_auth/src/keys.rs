//! The issuer's public keys: a JWKS (RFC 7517) that is fetched periodically.

use crate::token::{Claims, decode};
use futures_util::lock::Mutex;
use p256::ecdsa::VerifyingKey;
use p256::{FieldBytes, Sec1Point};
use proxy_filter::configured::{Authority, ClusterName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use proxy_filter_kit::jwt::TokenCache;
use rsa::{BoxedUint, PublicKey};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The location of the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwks {
    cluster: ClusterName,
    path: RequestPath,
    /// The `host` of the call; default the name of the cluster.
    authority: Option<Authority>,
    /// The time between two fetches, in seconds.
    #[serde(default = "five_minutes")]
    pub(crate) refresh_s: u32,
    /// The minimum time between two fetches, in seconds, if a token has an unknown key. Any client
    /// can invent such tokens.
    #[serde(default = "ten_seconds")]
    pause_s: u32,
}

const fn five_minutes() -> u32 {
    300
}

const fn ten_seconds() -> u32 {
    10
}

/// A public key and its algorithm.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) public: Public,
}

#[derive(Debug)]
pub(crate) enum Public {
    Es256(VerifyingKey),
    Rs256(PublicKey),
}

/// The maximum number of verified tokens that are cached in each VM.
const CACHED_TOKENS: usize = 1000;

/// The current keys, and the tokens that they have verified.
#[derive(Debug)]
pub(crate) struct Keys {
    current: RefCell<Rc<[Key]>>,
    /// The subjects of verified tokens. Without the cache, each request of a client would cost the
    /// verification of its token again.
    subjects: RefCell<TokenCache<String>>,
    /// The time of the last fetch, successful or not. Locked during a fetch.
    fetched: Mutex<Option<SystemTime>>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            current: RefCell::default(),
            subjects: RefCell::new(TokenCache::new(CACHED_TOKENS)),
            fetched: Mutex::default(),
        }
    }
}

impl Keys {
    /// Returns the subject of a token that these keys have verified before, at a time since 1970.
    pub(crate) fn subject(&self, token: &[u8], now: Duration) -> Option<String> {
        self.subjects.borrow_mut().get(token, now).cloned()
    }

    /// Caches the subject of a verified token until it expires, or until the keys change.
    pub(crate) fn cache(&self, token: &[u8], claims: &Claims, now: Duration) {
        self.subjects.borrow_mut().insert(token, claims.subject.clone(), claims.expires(), now);
    }

    pub(crate) fn current(&self) -> Rc<[Key]> {
        Rc::clone(&self.current.borrow())
    }

    /// Fetches the keys.
    pub(crate) async fn fetch(&self, jwks: &Jwks) -> Result<()> {
        let mut fetched = self.fetched.lock().await;
        let result = self.replace(jwks).await;
        *fetched = Some(clock::now()?);
        result
    }

    /// Fetches the keys, unless the last fetch was a short time ago. Concurrent calls wait for one
    /// fetch. Returns whether the keys may have changed since this call.
    pub(crate) async fn refresh(&self, jwks: &Jwks) -> Result<bool> {
        let asked = clock::now()?;
        let mut fetched = self.fetched.lock().await;
        let now = clock::now()?;
        if let Some(last) = *fetched
            && now.duration_since(last).unwrap_or_default() < Duration::from_secs(jwks.pause_s.into())
        {
            return Ok(last >= asked);
        }
        if let Err(why) = self.replace(jwks).await {
            log::warn!("the keys could not be updated: {why}");
        }
        *fetched = Some(clock::now()?);
        Ok(true)
    }

    async fn replace(&self, jwks: &Jwks) -> Result<()> {
        let call =
            HttpCall::get(&jwks.cluster, &jwks.path).authority(jwks.authority.as_deref().unwrap_or(&jwks.cluster));
        let answer = call.await?;
        if answer.status() != 200 {
            return Err(Error::other(format_args!(
                "the response to the JWKS request has the status {}",
                answer.status()
            )));
        }
        let keys = keys(&answer.body()?)?;
        if keys.is_empty() {
            return Err(Error::other("the JWKS has no key for ES256 or RS256"));
        }
        *self.current.borrow_mut() = keys.into();
        // A key that was removed verifies nothing any more.
        self.subjects.borrow_mut().clear();
        Ok(())
    }
}

/// Reads the keys of a JWKS whose algorithms this filter knows. Any other entry is ignored (RFC
/// 7517, section 5). Each entry is read separately, so a bad entry does not affect the others.
pub(crate) fn keys(jwks: &[u8]) -> Result<Vec<Key>> {
    let text = String::from_utf8_lossy(jwks);
    let set: JwkSet<'_> = serde_json::from_str(text.trim_start_matches('\u{feff}'))?; // a byte-order mark
    let entries = set.keys.into_iter().filter_map(|entry| serde_json::from_str::<Jwk>(entry.get()).ok());
    Ok(entries.filter_map(Jwk::key).collect())
}

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// A key as the issuer publishes it. Keys of other types may have other members.
#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: String,
    alg: Option<String>,
    r#use: Option<String>,
    // The same member may have any meaning in a key of another type.
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
}

/// A member with text. A member of another type counts as missing.
fn text<'de, D: Deserializer<'de>>(member: D) -> Result<Option<String>, D::Error> {
    let member = <&RawValue>::deserialize(member)?;
    Ok(serde_json::from_str(member.get()).ok())
}

impl Jwk {
    /// Returns the key, if this filter knows its type.
    fn key(self) -> Option<Key> {
        let is_for = |alg: &str| self.alg.as_ref().is_none_or(|found| found == alg);
        if self.r#use.as_ref().is_some_and(|found| found != "sig") {
            return None;
        }
        let public = match self.kty.as_str() {
            "EC" if self.crv.as_deref() == Some("P-256") && is_for("ES256") => {
                let x: [u8; 32] = decode(self.x?.as_bytes())?.try_into().ok()?;
                let y: [u8; 32] = decode(self.y?.as_bytes())?.try_into().ok()?;
                let point = Sec1Point::from_affine_coordinates(&FieldBytes::from(x), &FieldBytes::from(y), false);
                Public::Es256(VerifyingKey::from_sec1_point(&point).ok()?)
            }
            "RSA" if is_for("RS256") => {
                let number = |text: String| Some(BoxedUint::from_be_slice_vartime(&decode(text.as_bytes())?));
                let (modulus, exponent) = (number(self.n?)?, number(self.e?)?);
                Public::Rs256(PublicKey::new_with_size_limits(modulus, exponent, 2048..=4096).ok()?)
            }
            _ => return None,
        };
        Some(Key { id: self.kid, public })
    }
}
