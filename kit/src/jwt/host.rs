//! Signatures that a function of the host verifies.

/// A signature to verify, in the form that Envoy's function `verify_signature` takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostCheck<'a> {
    /// The name of the hash: `sha256`, `sha384` or `sha512`.
    pub hash: &'static str,
    /// The public key: a `SubjectPublicKeyInfo` in DER.
    pub key: &'a [u8],
    /// The bytes that were signed.
    pub signed: &'a [u8],
    /// The signature: RSA with PKCS #1 v1.5, or ECDSA in DER.
    pub signature: &'a [u8],
}

/// Verifies a signature with a function of the host. Returns `None` if the host has no such
/// function.
///
/// With the SDK, as in the example `jwt_auth`:
///
/// ```text
/// use proxy_filter::foreign::{self, Key, Verdict};
/// use proxy_filter_kit::jwt::HostCheck;
///
/// fn verify_by_host(check: &HostCheck<'_>) -> Option<bool> {
///     let verdict = foreign::verify_signature(check.hash, Key::Der(check.key), check.signed, check.signature);
///     Some(verdict.ok()? == Verdict::Valid)
/// }
/// ```
///
/// Source: Envoy 1.40, foreign function `verify_signature`.
pub type HostVerify = fn(&HostCheck<'_>) -> Option<bool>;
