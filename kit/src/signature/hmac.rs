//! HMAC-SHA256 over bytes, and over parts of a request with a time.

use super::{from_hex, hex};
use ::hmac::{Hmac, KeyInit, Mac};
use core::fmt;
use core::time::Duration;
use sha2::Sha256;

/// A secret for HMAC-SHA256.
///
/// ```
/// use proxy_filter_kit::signature::Secret;
///
/// let secret = Secret::new(*b"a secret of at least 32 bytes ...").unwrap();
/// let signature = secret.sign(b"a message");
/// assert!(secret.verify(b"a message", &signature));
/// assert!(!secret.verify(b"another message", &signature));
/// ```
///
/// Source: RFC 2104; RFC 4231 for SHA-256.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Creates a secret. Returns `None` for fewer than 32 bytes, because the secret can then be
    /// guessed from one signature.
    ///
    /// Source: RFC 2104, section 3.
    pub fn new(secret: impl AsRef<[u8]>) -> Option<Self> {
        let secret = secret.as_ref();
        (secret.len() >= 32).then(|| Self::of_any_length(secret))?
    }

    /// Creates a secret whose length another standard or service has chosen.
    pub(super) fn of_any_length(secret: &[u8]) -> Option<Self> {
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok().map(Self)
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        self.begin(message).finalize().into_bytes().into()
    }

    /// Whether this secret has signed a message. The time does not depend on the signature's bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.begin(message).verify_slice(signature).is_ok()
    }

    fn begin(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac
    }
}

/// The times at which a signature is accepted: the age, and the difference between the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockWindow {
    max_age: Duration,
    skew: Duration,
}

impl Default for ClockWindow {
    /// A signature is accepted for five minutes, and clocks may differ by one minute.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(300), skew: Duration::from_secs(60) }
    }
}

impl ClockWindow {
    /// Creates a window of this length. `skew` is the accepted difference between the clocks. It
    /// extends the window in both directions.
    pub const fn new(max_age: Duration, skew: Duration) -> Self {
        Self { max_age, skew }
    }

    /// Checks the time of a signature. Both times are since 1970.
    ///
    /// # Errors
    /// Fails with `Expired`, or with `NotYetValid` if the signature is of the future.
    pub fn check(&self, signed: Duration, now: Duration) -> Result<(), SignatureError> {
        if signed > now.saturating_add(self.skew) {
            Err(SignatureError::NotYetValid)
        } else if now > signed.saturating_add(self.max_age).saturating_add(self.skew) {
            Err(SignatureError::Expired)
        } else {
            Ok(())
        }
    }

    /// Returns the accepted difference between the clocks.
    pub(super) const fn skew(&self) -> Duration {
        self.skew
    }
}

/// The reason why a signature is refused, or cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature or its time is missing or malformed, or a signed part has a line feed.
    Malformed,
    /// No secret has signed these parts.
    Wrong,
    /// The signature has expired.
    Expired,
    /// The time of the signature is in the future.
    NotYetValid,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the signature is missing or malformed",
            Self::Wrong => "the signature is wrong",
            Self::Expired => "the signature has expired",
            Self::NotYetValid => "the signature is not valid yet",
        })
    }
}

impl std::error::Error for SignatureError {}

/// Signs parts of a request together with the time: `t=1700000000,v1=5257a869…`.
///
/// The signed message is the time in seconds and the parts, each with a line feed before it. Any
/// language with HMAC can create it. A signature is valid within the [`ClockWindow`] for every
/// equal request: sign a nonce or an order number if a request must not be repeated.
///
/// To replace a secret, [accept](Self::accept) the old one for as long as requests with it may
/// arrive.
#[derive(Clone, Debug)]
pub struct RequestSigner {
    secrets: Vec<Secret>,
    window: ClockWindow,
}

impl RequestSigner {
    /// Signs and verifies with this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secrets: vec![secret], window: ClockWindow::default() }
    }

    /// Also accepts signatures of another secret.
    #[must_use]
    pub fn accept(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sets the times at which a signature is accepted.
    #[must_use]
    pub const fn window(mut self, window: ClockWindow) -> Self {
        self.window = window;
        self
    }

    /// Returns the value of a header that signs these parts at a time since 1970.
    ///
    /// # Errors
    /// Fails if a part has a line feed. Sign a body by its SHA-256.
    pub fn sign(&self, parts: &[&[u8]], now: Duration) -> Result<String, SignatureError> {
        let time = now.as_secs().to_string();
        let secret = self.secrets.first().ok_or(SignatureError::Wrong)?;
        Ok(format!("t={time},v1={}", hex(&secret.sign(&message(&time, parts)?))))
    }

    /// Verifies the value of a header, at a time since 1970. Unknown members of the value are
    /// ignored.
    ///
    /// # Errors
    /// Fails if no secret has signed these parts within the window.
    pub fn verify(&self, header: &[u8], parts: &[&[u8]], now: Duration) -> Result<(), SignatureError> {
        let text = core::str::from_utf8(header).map_err(|_| SignatureError::Malformed)?;
        let (mut time, mut signature) = (None, None);
        for member in text.split(',') {
            match member.trim().split_once('=') {
                Some(("t", value)) if time.is_none() => time = Some(value),
                Some(("v1", value)) if signature.is_none() => signature = from_hex(value.as_bytes()),
                Some(("t" | "v1", _)) => return Err(SignatureError::Malformed),
                _ => {}
            }
        }
        let (Some(time), Some(signature)) = (time, signature) else { return Err(SignatureError::Malformed) };
        let signed = seconds(time).ok_or(SignatureError::Malformed)?;
        let message = message(time, parts)?;
        if !self.secrets.iter().any(|secret| secret.verify(&message, &signature)) {
            return Err(SignatureError::Wrong);
        }
        self.window.check(signed, now)
    }
}

/// Reads digits as a number of seconds.
pub(super) fn seconds(digits: &str) -> Option<Duration> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(Duration::from_secs))?
}

fn message(time: &str, parts: &[&[u8]]) -> Result<Vec<u8>, SignatureError> {
    let mut message = time.as_bytes().to_vec();
    for part in parts {
        if part.contains(&b'\n') {
            return Err(SignatureError::Malformed);
        }
        message.push(b'\n');
        message.extend_from_slice(part);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, sections 4.2, 4.3, 4.4, 4.7: the key, the data, the HMAC-SHA-256.
    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            let secret = Secret::of_any_length(key).unwrap();
            assert_eq!(hex(&secret.sign(data)), expected);
            assert!(secret.verify(data, &from_hex(expected.as_bytes()).unwrap()));
        }
    }

    const PARTS: [&[u8]; 2] = [b"GET", b"/a"];
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 32]).unwrap()
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(Secret::new([1; 31]).is_none());
    }

    #[test]
    fn any_change_of_a_signature_or_of_a_part_is_refused() {
        let signer = RequestSigner::new(secret(1));
        let header = signer.sign(&PARTS, NOW).unwrap();
        assert_eq!(signer.verify(header.as_bytes(), &PARTS, NOW), Ok(()));
        for at in 0..header.len() {
            for bit in 0..8 {
                let mut changed = header.clone().into_bytes();
                changed[at] ^= 1 << bit;
                // The digits of the signature may have any case.
                if !changed.eq_ignore_ascii_case(header.as_bytes()) {
                    assert!(signer.verify(&changed, &PARTS, NOW).is_err(), "{}", String::from_utf8_lossy(&changed));
                }
            }
            assert!(signer.verify(&header.as_bytes()[..at], &PARTS, NOW).is_err());
        }
        for parts in [&[&b"GET"[..]][..], &[b"GET", b"/"], &[b"GET/", b"a"], &[b"", b"GET", b"/a"], &[b"/a", b"GET"]] {
            assert_eq!(signer.verify(header.as_bytes(), parts, NOW), Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn parts_cannot_be_moved_into_each_other() {
        let signer = RequestSigner::new(secret(1));
        assert_eq!(signer.sign(&[b"GET\n/a"], NOW), Err(SignatureError::Malformed));
        let header = signer.sign(&PARTS, NOW).unwrap();
        assert_eq!(signer.verify(header.as_bytes(), &[b"GET\n/a"], NOW), Err(SignatureError::Malformed));
    }

    #[test]
    fn repeated_and_malformed_members_are_refused_and_unknown_ones_are_ignored() {
        let signer = RequestSigner::new(secret(1));
        let header = signer.sign(&PARTS, NOW).unwrap();
        let (time, signature) = header.split_once(',').unwrap();
        for (value, expected) in [
            (format!("v0=1, {signature} ,{time},x"), Ok(())),
            (format!("{header},t=1"), Err(SignatureError::Malformed)),
            (format!("{header},{signature}"), Err(SignatureError::Malformed)),
            (format!("t=+1700000000,{signature}"), Err(SignatureError::Malformed)),
            (format!("t=,{signature}"), Err(SignatureError::Malformed)),
            (format!("t=99999999999999999999,{signature}"), Err(SignatureError::Malformed)),
            (format!("{header}0"), Err(SignatureError::Malformed)),
            (String::new(), Err(SignatureError::Malformed)),
        ] {
            assert_eq!(signer.verify(value.as_bytes(), &PARTS, NOW), expected, "{value}");
        }
    }

    #[test]
    fn a_signature_is_valid_within_its_window() {
        let signer = RequestSigner::new(secret(1));
        let header = signer.sign(&PARTS, NOW).unwrap();
        for (difference, expected) in
            [(-61, Err(SignatureError::NotYetValid)), (-60, Ok(())), (360, Ok(())), (361, Err(SignatureError::Expired))]
        {
            let now = Duration::from_secs(1_700_000_000_u64.checked_add_signed(difference).unwrap());
            assert_eq!(signer.verify(header.as_bytes(), &PARTS, now), expected, "{difference}");
        }
        let window = ClockWindow::new(Duration::MAX, Duration::MAX);
        assert_eq!(window.check(Duration::MAX, Duration::MAX), Ok(()));
    }

    #[test]
    fn an_old_secret_is_accepted_and_does_not_sign() {
        let old = RequestSigner::new(secret(1));
        let new = RequestSigner::new(secret(2)).accept(secret(1));
        let header = old.sign(&PARTS, NOW).unwrap();
        assert_eq!(new.verify(header.as_bytes(), &PARTS, NOW), Ok(()));
        let header = new.sign(&PARTS, NOW).unwrap();
        assert_eq!(old.verify(header.as_bytes(), &PARTS, NOW), Err(SignatureError::Wrong));
    }
}
