//! AWS Signature Version 4: signs requests to services of AWS.
//!
//! ```
//! use proxy_filter_kit::signature::aws::{Credentials, Payload, Request, Signer};
//! use std::time::Duration;
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let signer = Signer::new(credentials, "us-east-1", "service");
//! let request = Request {
//!     method: b"GET",
//!     target: b"/",
//!     headers: &[(b"host", b"example.amazonaws.com")],
//!     payload: Payload::Empty,
//! };
//! let signed = signer.sign(&request, Duration::from_secs(1_440_938_160)).unwrap();
//! assert_eq!(signed[0], ("x-amz-date", "20150830T123600Z".to_owned()));
//! assert!(signed[1].1.ends_with("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
//! ```
//!
//! Sign at the end of the filter chain: a later filter or the proxy may change headers and the
//! path. List only headers that arrive unchanged, such as `host` and `content-type`.
//!
//! Source: AWS Identity and Access Management, "Create a signed AWS API request".

mod canonical;

use super::Secret;
use super::hex;
use crate::date::Date;
use crate::request::percent_encode;
use canonical::{Canonical, canonical_query, canonical_uri};
use core::fmt;
use core::time::Duration;
use sha2::{Digest, Sha256};

/// The credentials of an AWS identity.
#[derive(Clone)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Creates credentials that do not expire.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self { access_key_id: access_key_id.into(), secret_access_key: secret_access_key.into(), session_token: None }
    }

    /// Sets the token of temporary credentials. It is sent as `x-amz-security-token`.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// No body.
    Empty,
    /// The whole body.
    Bytes(&'a [u8]),
    /// The SHA-256 of the body.
    Sha256([u8; 32]),
    /// The body is not signed. Services accept this over TLS only, and S3 is the main one.
    Unsigned,
}

/// A request to sign.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The path and the query, as they are sent. In the query, a `+` is a plus sign.
    pub target: &'a [u8],
    /// The headers to sign. `host` is required. `x-amz-date`, `x-amz-security-token` and
    /// `x-amz-content-sha256` are added and must not be listed.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The body.
    pub payload: Payload<'a>,
}

/// The reason why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// The headers have no `host`.
    NoHost,
    /// A header is added by the signer, or has a name that is not a token.
    Header,
    /// The time is after the year 9999.
    Time,
    /// The URL would be valid for longer than seven days.
    Expiry,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "the headers to sign have no `host`",
            Self::Header => "a header to sign is added by the signer, or its name is not a token",
            Self::Time => "the time of the signature is after the year 9999",
            Self::Expiry => "a signed URL is valid for at most seven days",
        })
    }
}

impl std::error::Error for SignError {}

/// The algorithm, as it is named in requests.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs requests to one service in one region.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: String,
    normalise: bool,
    encode_twice: bool,
    content_sha256: bool,
}

impl Signer {
    /// Creates a signer. For the service `s3` paths are not normalised and are encoded once, and
    /// `x-amz-content-sha256` is sent, as S3 requires.
    pub fn new(credentials: Credentials, region: impl Into<String>, service: impl Into<String>) -> Self {
        let service = service.into();
        let is_s3 = service == "s3" || service == "s3-object-lambda" || service == "s3express";
        Self {
            credentials,
            region: region.into(),
            service,
            normalise: !is_s3,
            encode_twice: !is_s3,
            content_sha256: is_s3,
        }
    }

    /// Sets whether `.` and `..` segments and repeated slashes are removed from the signed path.
    #[must_use]
    pub const fn normalise(mut self, normalise: bool) -> Self {
        self.normalise = normalise;
        self
    }

    /// Sets whether the hash of the body is also sent as `x-amz-content-sha256`.
    #[must_use]
    pub const fn content_sha256(mut self, content_sha256: bool) -> Self {
        self.content_sha256 = content_sha256;
        self
    }

    /// Signs a request at a time since 1970. Returns the headers to set. `authorization` is the
    /// last.
    ///
    /// # Errors
    /// Fails if the request has no `host`, or a header that cannot be signed.
    pub fn sign(&self, request: &Request<'_>, now: Duration) -> Result<Vec<(&'static str, String)>, SignError> {
        let date = date(now).ok_or(SignError::Time)?;
        let hash = payload_hash(request.payload);
        let mut added = vec![("x-amz-date", date.clone())];
        added.extend(self.credentials.session_token.clone().map(|token| ("x-amz-security-token", token)));
        if self.content_sha256 {
            added.push(("x-amz-content-sha256", hash.clone()));
        }
        let mut canonical = Canonical::new(request.headers)?;
        for (name, value) in &added {
            canonical.add(name, value.as_bytes());
        }
        let (path, query) = split(request.target);
        let query = canonical_query(query.unwrap_or_default(), &[]);
        let text = canonical.request(request.method, &self.uri(path), &query, &hash);
        let signature = self.signature(&date, &text);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.credentials.access_key_id,
            self.scope(&date),
            canonical.names()
        );
        added.push(("authorization", authorization));
        Ok(added)
    }

    /// Signs a URL that is valid for some time from now, in whole seconds. Returns the target with
    /// the parameters of the signature. S3 requires [`Payload::Unsigned`].
    ///
    /// # Errors
    /// As [`sign`](Self::sign), and if it would be valid for longer than seven days.
    pub fn presign(&self, request: &Request<'_>, expires: Duration, now: Duration) -> Result<String, SignError> {
        let date = date(now).ok_or(SignError::Time)?;
        if expires > Duration::from_secs(7 * 24 * 3600) {
            return Err(SignError::Expiry);
        }
        let canonical = Canonical::new(request.headers)?;
        let credential = format!("{}/{}", self.credentials.access_key_id, self.scope(&date));
        let (expires, names) = (expires.as_secs().to_string(), canonical.names());
        let mut added = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", &names),
        ];
        added.extend(self.credentials.session_token.as_deref().map(|token| ("X-Amz-Security-Token", token)));
        let (path, query) = split(request.target);
        let query = canonical_query(query.unwrap_or_default(), &added);
        let hash = payload_hash(request.payload);
        let text = canonical.request(request.method, &self.uri(path), &query, &hash);
        let signature = self.signature(&date, &text);
        Ok(format!("{}?{query}&X-Amz-Signature={signature}", wire_path(path)))
    }

    fn uri(&self, path: &[u8]) -> String {
        canonical_uri(path, self.normalise, self.encode_twice)
    }

    fn scope(&self, date: &str) -> String {
        format!("{}/{}/{}/aws4_request", day(date), self.region, self.service)
    }

    fn signature(&self, date: &str, canonical_request: &str) -> String {
        let hash = hex(&Sha256::digest(canonical_request));
        let text = format!("{ALGORITHM}\n{date}\n{}\n{hash}", self.scope(date));
        hex(&mac(&self.signing_key(date), text.as_bytes()))
    }

    /// Derives the key of a day.
    fn signing_key(&self, date: &str) -> [u8; 32] {
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let mut key = mac(secret.as_bytes(), day(date).as_bytes());
        for part in [&self.region, &self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        key
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC accepts keys of any length.
    Secret::of_any_length(key).map(|key| key.sign(message)).unwrap_or_default()
}

fn payload_hash(payload: Payload<'_>) -> String {
    match payload {
        Payload::Empty => hex(&Sha256::digest(b"")),
        Payload::Bytes(body) => hex(&Sha256::digest(body)),
        Payload::Sha256(hash) => hex(&hash),
        Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
    }
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// The path as it is sent: bytes that a URL must not have are encoded.
fn wire_path(path: &[u8]) -> String {
    let is_plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#')
    };
    let mut text = String::with_capacity(path.len());
    for byte in path {
        if is_plain(*byte) { text.push(char::from(*byte)) } else { text.push_str(&percent_encode(&[*byte])) }
    }
    text
}

/// Returns the day of a date.
fn day(date: &str) -> &str {
    date.get(..8).unwrap_or(date)
}

/// Formats a time since 1970 as `20150830T123600Z`. Returns `None` after the year 9999.
fn date(time: Duration) -> Option<String> {
    let Date { year, month, day, hour, minute, second } = Date::of(time)?;
    Some(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

#[cfg(test)]
mod tests;
