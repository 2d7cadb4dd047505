//! Claims, and the rules for them.

use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The claims of a token. Claims without a field are in `others`.
///
/// ```
/// use proxy_filter_kit::jwt::Claims;
/// use std::time::Duration;
///
/// let claims: Claims = serde_json::from_str(r#"{"sub":"joe","aud":"api","exp":1300819380,"scope":"read"}"#).unwrap();
/// assert_eq!((claims.audience, claims.expires), (vec!["api".to_owned()], Some(Duration::from_secs(1_300_819_380))));
/// assert_eq!(claims.others["scope"], "read");
/// ```
///
/// Source: RFC 7519, section 4.1.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// `iss`.
    #[serde(rename = "iss", default)]
    pub issuer: Option<String>,
    /// `sub`. It may have any characters. Check it before it is sent in a header.
    #[serde(rename = "sub", default)]
    pub subject: Option<String>,
    /// `aud`: one or several.
    #[serde(rename = "aud", default, deserialize_with = "one_or_several")]
    pub audience: Vec<String>,
    /// `exp`, since 1970.
    #[serde(rename = "exp", default, deserialize_with = "date")]
    pub expires: Option<Duration>,
    /// `nbf`, since 1970.
    #[serde(rename = "nbf", default, deserialize_with = "date")]
    pub not_before: Option<Duration>,
    /// `iat`, since 1970.
    #[serde(rename = "iat", default, deserialize_with = "date")]
    pub issued_at: Option<Duration>,
    /// `jti`.
    #[serde(rename = "jti", default)]
    pub id: Option<String>,
    /// All others.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

fn one_or_several<'de, D: Deserializer<'de>>(claim: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Audience::deserialize(claim)? {
        Audience::One(audience) => vec![audience],
        Audience::Several(audiences) => audiences,
    })
}

/// A date: a number of seconds, with or without a fraction. A date before 1970 becomes 1970, and a
/// date that is too large becomes the maximum.
fn date<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(claim)?;
    Ok(Some(if seconds > 0.0 { Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) } else { Duration::ZERO }))
}

/// The rules for claims: the issuer, the audience, and the time for which a token is valid.
///
/// By default a token must have an issuer, an audience and an expiry, and clocks may differ by a
/// minute.
#[derive(Clone, Debug)]
pub struct Rules {
    issuer: Option<String>,
    audiences: Vec<String>,
    leeway: Duration,
    expiry_is_required: bool,
}

/// The reason why claims are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// The issuer is missing or another one.
    Issuer,
    /// The audience is missing or another one.
    Audience,
    /// The token does not expire.
    NoExpiry,
    /// The token has expired.
    Expired,
    /// The token is not valid yet.
    NotYetValid,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::NoExpiry => "the token has no expiry",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
        })
    }
}

impl std::error::Error for ClaimError {}

impl Rules {
    /// Accepts tokens of one issuer for any of these audiences.
    pub fn new<T: Into<String>>(issuer: impl Into<String>, audiences: impl IntoIterator<Item = T>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            audiences: audiences.into_iter().map(Into::into).collect(),
            leeway: Duration::from_secs(60),
            expiry_is_required: true,
        }
    }

    /// Accepts any issuer whose keys are in the set.
    #[must_use]
    pub fn any_issuer(mut self) -> Self {
        self.issuer = None;
        self
    }

    /// Sets the accepted difference between the clocks of issuer and proxy.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts tokens without an expiry.
    #[must_use]
    pub const fn without_expiry(mut self) -> Self {
        self.expiry_is_required = false;
        self
    }

    /// Checks claims at a time since 1970.
    ///
    /// # Errors
    /// Fails with the first rule that is violated.
    pub fn check(&self, claims: &Claims, now: Duration) -> Result<(), ClaimError> {
        if self.issuer.is_some() && self.issuer != claims.issuer {
            return Err(ClaimError::Issuer);
        }
        if !self.audiences.iter().any(|audience| claims.audience.contains(audience)) {
            return Err(ClaimError::Audience);
        }
        match claims.expires {
            None if self.expiry_is_required => return Err(ClaimError::NoExpiry),
            Some(expires) if now >= expires.saturating_add(self.leeway) => return Err(ClaimError::Expired),
            _ => {}
        }
        if claims.not_before.is_some_and(|not_before| now.saturating_add(self.leeway) < not_before) {
            return Err(ClaimError::NotYetValid);
        }
        Ok(())
    }
}
