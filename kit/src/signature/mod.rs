//! Signatures of requests and responses: HMAC, signed URLs, AWS Signature Version 4, and HTTP
//! message signatures (RFC 9421).
//!
//! - [`Secret`] signs and verifies bytes with HMAC-SHA256. [`RequestSigner`] signs parts of a
//!   request together with the time, and [`UrlSigner`] signs URLs that expire.
//! - [`aws`] signs requests to services of AWS.
//! - [`message`] creates and verifies HTTP message signatures.
//! - [`ContentDigest`] computes and verifies `content-digest` while a body passes.
//!
//! ```
//! use proxy_filter_kit::signature::{RequestSigner, Secret};
//! use std::time::Duration;
//!
//! let signer = RequestSigner::new(Secret::new(*b"a secret of at least 32 bytes ...").unwrap());
//! let now = Duration::from_secs(1_700_000_000);
//! let header = signer.sign(&[b"POST", b"/orders?id=7"], now).unwrap();
//! assert!(signer.verify(header.as_bytes(), &[b"POST", b"/orders?id=7"], now).is_ok());
//! assert!(signer.verify(header.as_bytes(), &[b"POST", b"/orders?id=8"], now).is_err());
//! assert!(signer.verify(header.as_bytes(), &[b"POST", b"/orders?id=7"], now * 2).is_err());
//! ```
//!
//! Verification compares in constant time, and no key is used with another algorithm than its own.

pub mod aws;
mod digest;
mod hmac;
pub mod message;
mod url;

pub use self::digest::ContentDigest;
pub use self::hmac::{ClockWindow, RequestSigner, Secret, SignatureError};
pub use self::url::UrlSigner;

/// Writes bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads hexadecimal digits in any case.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
    };
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}
