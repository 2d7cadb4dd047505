//! A JSON Web Token (RFC 7519) as a bearer token (RFC 6750).

use crate::keys::{Key, Public};
use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier;
use proxy_filter::prelude::*;
use rsa::Pkcs1v15Sign;
use rsa::sha2::{Digest, Sha256};
use serde::Deserialize;
use std::time::Duration;

/// The reason why a token is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request has no token.
    Missing,
    /// No key has the name in the token, and no key without a name has signed it.
    UnknownKey,
    /// Another fault.
    Invalid(&'static str),
    /// No keys have been fetched.
    NoKeys,
}

impl Refusal {
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "a token is needed",
            Self::UnknownKey => "its key is unknown",
            Self::Invalid(why) => why,
            Self::NoKeys => "no keys to verify it with",
        }
    }

    /// The response to the client.
    pub(crate) fn reply(&self) -> LocalReply {
        let challenge = match self {
            Self::Missing => "Bearer".to_owned(),
            Self::NoKeys => return LocalReply::new(503).details("jwt_no_keys").header("retry-after", "10"),
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.reason()),
        };
        LocalReply::new(401).details("jwt_refused").header("www-authenticate", challenge)
    }
}

/// A token that is not verified.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    header: Header,
    /// Header and claims: the signed bytes.
    signed: &'a [u8],
    claims: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that the recipient must understand. This filter understands none.
    crit: Option<Vec<String>>,
}

/// The claims of a verified token.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "sub")]
    pub(crate) subject: String,
    #[serde(rename = "iss")]
    issuer: String,
    #[serde(rename = "aud")]
    audience: Audience,
    #[serde(rename = "exp")]
    expiry: f64,
    #[serde(rename = "nbf", default)]
    not_before: f64,
}

impl Claims {
    /// Returns the time since 1970 at which the token expires. Returns `None` for a time that is
    /// too far away.
    pub(crate) fn expires(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.expiry).ok()
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Decodes base64 as used in JOSE.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(core::str::from_utf8(text).ok()?).ok()
}

/// Returns the token in `Bearer …`: the scheme in any case, then one or more spaces (RFC 9110,
/// section 11.4).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).filter(|token| spaces > 0 && !token.is_empty())?;
    scheme.eq_ignore_ascii_case(b"Bearer").then_some(token)
}

/// Whether a header can contain this text. Control characters would end the header, or the host
/// would refuse it.
fn can_be_a_header(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

impl<'a> Token<'a> {
    /// Parses the token in `Bearer …`.
    pub(crate) fn parse(authorization: &'a [u8]) -> Result<Self, Refusal> {
        let token = bearer(authorization).ok_or(Refusal::Missing)?;
        Self::split(token).ok_or(Refusal::Invalid("it is malformed"))
    }

    fn split(token: &'a [u8]) -> Option<Self> {
        let mut parts = token.split(|byte| *byte == b'.');
        let [header, claims, signature] = [parts.next()?, parts.next()?, parts.next()?];
        let signed = token.get(..header.len() + 1 + claims.len())?;
        let header = serde_json::from_slice(&decode(header)?).ok()?;
        parts.next().is_none().then_some(())?;
        Some(Self { header, signed, claims: decode(claims)?, signature: decode(signature)? })
    }

    /// Verifies the signature. A key is used only with its own algorithm, whatever algorithm the
    /// token names (`none`, for example).
    pub(crate) fn verify(&self, keys: &[Key]) -> Result<(), Refusal> {
        if !matches!(self.header.alg.as_str(), "ES256" | "RS256") || self.header.crit.is_some() {
            return Err(Refusal::Invalid("its algorithm is not accepted"));
        }
        if keys.is_empty() {
            return Err(Refusal::NoKeys);
        }
        // A name only selects a key. A token or a key without a name is combined with all others.
        let kid = self.header.kid.as_deref();
        let mut meant = keys.iter().filter(|key| kid.is_none() || key.id.is_none() || key.id.as_deref() == kid);
        let is_valid = |key: &Key| match (&key.public, self.header.alg.as_str()) {
            (Public::Es256(key), "ES256") => Signature::from_slice(&self.signature)
                .is_ok_and(|signature| key.verify(self.signed, &signature).is_ok()),
            (Public::Rs256(key), "RS256") => {
                let digest = Sha256::digest(self.signed);
                key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &self.signature).is_ok()
            }
            _ => false,
        };
        if meant.any(is_valid) {
            Ok(())
        } else if kid.is_some() && keys.iter().all(|key| key.id.as_deref() != kid) {
            Err(Refusal::UnknownKey)
        } else {
            Err(Refusal::Invalid("its signature is wrong"))
        }
    }

    /// Returns the claims of a verified token.
    pub(crate) fn claims(
        &self,
        issuer: &str,
        audience: &str,
        now: Duration,
        leeway: Duration,
    ) -> Result<Claims, Refusal> {
        let claims: Claims =
            serde_json::from_slice(&self.claims).map_err(|_| Refusal::Invalid("a claim is missing"))?;
        let is_for_us = match &claims.audience {
            Audience::One(found) => found == audience,
            Audience::Several(found) => found.iter().any(|found| found == audience),
        };
        let (now, leeway) = (now.as_secs_f64(), leeway.as_secs_f64());
        if claims.issuer != issuer {
            Err(Refusal::Invalid("it has another issuer"))
        } else if !is_for_us {
            Err(Refusal::Invalid("it has another audience"))
        } else if now >= claims.expiry + leeway {
            Err(Refusal::Invalid("it has expired"))
        } else if now + leeway < claims.not_before {
            Err(Refusal::Invalid("it is not valid yet"))
        } else if !can_be_a_header(&claims.subject) {
            Err(Refusal::Invalid("its subject cannot be sent in a header"))
        } else {
            Ok(claims)
        }
    }
}
