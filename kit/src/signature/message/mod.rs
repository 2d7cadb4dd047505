//! HTTP message signatures (RFC 9421): created and verified.
//!
//! ```
//! use proxy_filter_kit::signature::message::{Component, Message, Signer, SigningKey, Verifier, VerifyingKey};
//! use std::time::Duration;
//!
//! let headers = [("date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("content-type", "application/json")];
//! let message = Message::request("POST", "https", "example.com", "/foo?param=Value", &headers);
//! let now = Duration::from_secs(1_618_884_473);
//!
//! let secret = b"a secret of at least 32 bytes ...";
//! let components = ["@method", "@authority", "@path", "date"].map(|name| Component::parse(name).unwrap());
//! let signer = Signer::new(SigningKey::hmac_sha256(secret).unwrap(), "edge", components.clone());
//! let signed = signer.sign(&message, None, now).unwrap();
//! assert!(signed.input.starts_with("sig1=(\"@method\" \"@authority\" \"@path\" \"date\");created=1618884473;"));
//!
//! let key = VerifyingKey::hmac_sha256(secret).unwrap();
//! let verifier = Verifier::new(components);
//! let verified = verifier.verify(&message, signed.input.as_bytes(), signed.signature.as_bytes(), now, |id| {
//!     (id == Some("edge")).then_some(&key)
//! });
//! assert_eq!(verified.unwrap().key_id.as_deref(), Some("edge"));
//! ```
//!
//! A signature covers only the listed components. The verifier therefore names those that it
//! requires. For a body, require `content-digest`, and verify the digest with
//! [`ContentDigest`](super::ContentDigest).
//!
//! The algorithms are `hmac-sha256`, `ed25519`, `ecdsa-p256-sha256`, `rsa-pss-sha512` and
//! `rsa-v1_5-sha256`. RSA keys only verify: a signature needs random numbers, and takes a module
//! tens of milliseconds. The parameters `sf` and `tr` of components are refused, because they need
//! the type of each field, or trailers.

mod base;
mod key;
mod sign;
mod structured;
mod verify;

pub use base::{Component, Message};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use sign::{Signed, Signer};
pub use verify::{Verified, Verifier};

use super::SignatureError;
use core::fmt;

/// The reason why a message cannot be signed, or its signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// `signature-input` or `signature` is missing or malformed, or no signature has the label or
    /// the tag.
    Malformed,
    /// A component has an unknown name or parameter, is listed twice, or is ambiguous in this
    /// message.
    Component,
    /// The message has no such component.
    MissingComponent,
    /// The signature does not cover a required component, or does not say when it was created.
    NotCovered,
    /// The key is unknown, or the signature names another algorithm than that of the key.
    Key,
    /// The signature is wrong, or not valid at this time.
    Signature(SignatureError),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the signature headers are missing or malformed",
            Self::Component => "a signed component is unknown, repeated or ambiguous",
            Self::MissingComponent => "the message does not have a signed component",
            Self::NotCovered => "the signature does not cover a required component",
            Self::Key => "the key of the signature is unknown or for another algorithm",
            Self::Signature(why) => return why.fmt(f),
        })
    }
}

impl std::error::Error for MessageError {}

impl From<SignatureError> for MessageError {
    fn from(why: SignatureError) -> Self {
        Self::Signature(why)
    }
}

#[cfg(test)]
mod tests;
