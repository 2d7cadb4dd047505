//! Signed URLs.

use super::hmac::seconds;
use super::{Secret, SignatureError};
use base64ct::{Base64UrlUnpadded, Encoding};
use core::time::Duration;

/// Signs URLs that expire: `/video.mp4?expires=1700000600&signature=Jx0…`.
///
/// The signature covers the path and every query parameter before it, and is the last parameter. It
/// does not cover the host or the method.
///
/// ```
/// use proxy_filter_kit::signature::{Secret, UrlSigner};
/// use std::time::Duration;
///
/// let signer = UrlSigner::new(Secret::new(*b"a secret of at least 32 bytes ...").unwrap());
/// let url = signer.sign(b"/video.mp4?user=7", Duration::from_secs(1_700_000_600)).unwrap();
/// assert_eq!(signer.verify(&url, Duration::from_secs(1_700_000_000)).unwrap(), b"/video.mp4?user=7");
/// assert!(signer.verify(&url, Duration::from_secs(1_700_000_601)).is_err());
/// assert!(signer.verify(b"/video.mp4?user=7", Duration::ZERO).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct UrlSigner {
    secrets: Vec<Secret>,
}

const EXPIRES: &[u8] = b"expires=";
const SIGNATURE: &[u8] = b"&signature=";

impl UrlSigner {
    /// Signs and verifies with this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secrets: vec![secret] }
    }

    /// Also accepts signatures of another secret.
    #[must_use]
    pub fn accept(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Returns the target with a signature that is valid until a time since 1970, in whole seconds.
    ///
    /// # Errors
    /// Fails if the target has a fragment, which clients do not send.
    pub fn sign(&self, target: &[u8], expires: Duration) -> Result<Vec<u8>, SignatureError> {
        if target.contains(&b'#') {
            return Err(SignatureError::Malformed);
        }
        let secret = self.secrets.first().ok_or(SignatureError::Wrong)?;
        let mut url = target.to_vec();
        url.push(if target.contains(&b'?') { b'&' } else { b'?' });
        url.extend_from_slice(EXPIRES);
        url.extend_from_slice(expires.as_secs().to_string().as_bytes());
        let signature = Base64UrlUnpadded::encode_string(&secret.sign(&url));
        url.extend_from_slice(SIGNATURE);
        url.extend_from_slice(signature.as_bytes());
        Ok(url)
    }

    /// Verifies a request target, at a time since 1970. Returns the target without the expiry and
    /// the signature.
    ///
    /// # Errors
    /// Fails if no secret has signed the target, or if it has expired.
    pub fn verify<'a>(&self, target: &'a [u8], now: Duration) -> Result<&'a [u8], SignatureError> {
        let split = |text: &'a [u8], at: &[u8]| {
            let start = text.windows(at.len()).rposition(|window| window == at)?;
            Some((text.get(..start)?, text.get(start.checked_add(at.len())?..)?))
        };
        let (signed, signature) = split(target, SIGNATURE).ok_or(SignatureError::Malformed)?;
        let signature = core::str::from_utf8(signature).ok().and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
        let signature = signature.ok_or(SignatureError::Malformed)?;
        if !self.secrets.iter().any(|secret| secret.verify(signed, &signature)) {
            return Err(SignatureError::Wrong);
        }
        let (rest, expires) = split(signed, EXPIRES).ok_or(SignatureError::Malformed)?;
        let expires = core::str::from_utf8(expires).ok().and_then(seconds).ok_or(SignatureError::Malformed)?;
        let (Some((b'?' | b'&', rest)), true) = (rest.split_last(), now <= expires) else {
            return Err(SignatureError::Expired);
        };
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: Duration = Duration::from_secs(1_700_000_600);

    fn signer(byte: u8) -> UrlSigner {
        UrlSigner::new(Secret::new([byte; 32]).unwrap())
    }

    #[test]
    fn signed_urls_are_accepted_until_they_expire() {
        for target in ["/", "/a?b", "/a?b=c&signature=x", "/?", "/expires=1?expires=5&expires=6", "/%26signature=1"] {
            let url = signer(1).sign(target.as_bytes(), EXPIRY).unwrap();
            assert_eq!(signer(1).verify(&url, EXPIRY), Ok(target.as_bytes()));
            let late = EXPIRY + Duration::from_nanos(1);
            assert_eq!(signer(1).verify(&url, late), Err(SignatureError::Expired));
            assert_eq!(signer(2).verify(&url, EXPIRY), Err(SignatureError::Wrong));
            assert_eq!(signer(2).accept(Secret::new([1; 32]).unwrap()).verify(&url, EXPIRY), Ok(target.as_bytes()));
        }
        assert_eq!(signer(1).sign(b"/#a", EXPIRY), Err(SignatureError::Malformed));
    }

    #[test]
    fn any_change_of_a_url_is_refused() {
        let url = signer(1).sign(b"/a?b=c", EXPIRY).unwrap();
        for at in 0..url.len() {
            for bit in 0..8 {
                let mut changed = url.clone();
                changed[at] ^= 1 << bit;
                assert!(signer(1).verify(&changed, EXPIRY).is_err(), "{}", String::from_utf8_lossy(&changed));
            }
            assert!(signer(1).verify(&url[..at], EXPIRY).is_err());
        }
        for more in ["&", "&x=1", "#", "=", "&expires=1800000000", "&signature="] {
            assert!(signer(1).verify(&[&url[..], more.as_bytes()].concat(), EXPIRY).is_err(), "{more}");
        }
    }
}
