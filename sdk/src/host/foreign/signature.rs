//! Signatures with the cryptography of the host.

use crate::abi::protobuf::{Fields, Malformed, Message};
use crate::abi::status::Status;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::foreign::typed;

/// A private or public key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Key<'a> {
    /// In DER: PKCS #8 for a private key, `SubjectPublicKeyInfo` for a public one.
    Der(&'a [u8]),
    /// In PEM.
    Pem(&'a str),
}

impl Key<'_> {
    /// Writes it where it belongs.
    #[inline]
    fn write(self, message: Message, der: u8, pem: u8) -> Message {
        match self {
            Self::Der(key) => message.bytes(der, key),
            Self::Pem(key) => message.bytes(pem, key.as_bytes()),
        }
    }
}

/// Whether a signature is the one it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a signature that is not valid passes unless the verdict is looked at"]
pub enum Verdict {
    /// It is.
    Valid,
    /// The signature is not valid, or the host could not check it. Contains the host's message.
    Invalid(String),
}

/// Signs a text with an RSA key (PKCS #1 v1.5). `hash` is `"sha1"`, `"sha224"`, `"sha256"`,
/// `"sha384"` or `"sha512"`.
///
/// ```
/// # use proxy_filter::{Result, foreign::{self, Key}};
/// fn signature(key: &str, text: &[u8]) -> Result<Vec<u8>> {
///     foreign::sign("sha256", Key::Pem(key), text)
/// }
/// ```
///
/// In every callback, those of the root context included. The embedded host has signatures if its
/// feature `signatures` is on, and signs with RSA keys.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) for a key or a hash the host cannot use;
/// [`NotFound`](ErrorKind::NotFound) on hosts without the function.
///
/// Source: Envoy 1.40, foreign function `sign`.
pub fn sign(hash: &str, private_key: Key<'_>, text: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let argument = private_key.write(Message::new().bytes(1, hash.as_bytes()).bytes(3, text.as_ref()), 2, 4);
    let result = typed("sign", &argument.finish(), invalid_input)?;
    let result = Fields::new(&result);
    match (result.number(1), result.bytes(2), result.bytes(3)) {
        (Ok(1..), Ok(signature), _) => Ok(signature.to_vec()),
        (Ok(_), _, Ok(error)) => {
            Err(Error::message(ErrorKind::InvalidInput, ["sign: ", &String::from_utf8_lossy(error)].concat()))
        }
        _ => Err(malformed()),
    }
}

/// Checks the signature of a text with an RSA or EC key. `hash` as for [`sign`].
///
/// ```
/// # use proxy_filter::{Result, foreign::{self, Key, Verdict}};
/// fn is_genuine(key: &str, text: &[u8], signature: &[u8]) -> Result<bool> {
///     Ok(foreign::verify_signature("sha256", Key::Pem(key), text, signature)? == Verdict::Valid)
/// }
/// ```
///
/// When: as [`sign`].
///
/// Envoy accepts RSA keys of 512 to 8,192 bits with PKCS #1 v1.5. It accepts EC keys of P-224,
/// P-256, P-384 and P-521 with ECDSA in DER. It does not accept secp256k1 and Ed25519. The embedded
/// host accepts the same keys, except P-224 and P-521. In PEM, the first block `PUBLIC KEY` is
/// used; other text is ignored.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) on hosts without the function;
/// [`InvalidInput`](ErrorKind::InvalidInput) for an empty key. To Envoy, a signature is
/// [`Invalid`](Verdict::Invalid) as well if it cannot use the key or the hash.
///
/// Source: Envoy 1.40, foreign function `verify_signature`.
#[doc(alias = "verifySignature")]
pub fn verify_signature(
    hash: &str,
    public_key: Key<'_>,
    text: impl AsRef<[u8]>,
    signature: impl AsRef<[u8]>,
) -> Result<Verdict> {
    let argument = Message::new().bytes(1, hash.as_bytes()).bytes(3, signature.as_ref()).bytes(4, text.as_ref());
    let result = typed("verify_signature", &public_key.write(argument, 2, 5).finish(), invalid_input)?;
    let result = Fields::new(&result);
    match (result.number(1), result.bytes(2)) {
        (Ok(1..), _) => Ok(Verdict::Valid),
        (Ok(_), Ok(error)) => Ok(Verdict::Invalid(String::from_utf8_lossy(error).into_owned())),
        (Err(Malformed), _) | (_, Err(Malformed)) => Err(malformed()),
    }
}

#[inline]
fn invalid_input(status: Status) -> Option<ErrorKind> {
    (status == Status::BAD_ARGUMENT).then_some(ErrorKind::InvalidInput)
}

#[cold]
fn malformed() -> Error {
    Error::refused(ErrorKind::Malformed, "the host's result is not encoded as Envoy encodes it")
}
