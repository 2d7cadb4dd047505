//! Credentials in `authorization`, and the comparison of secrets.

use super::token::{is_token, trim};
use base64ct::{Base64, Base64Unpadded, Encoding};
use subtle::ConstantTimeEq;

/// Compares two secrets in a time that depends only on their lengths.
///
/// `==` returns at the first byte that differs, so its time tells a client how many bytes of a
/// guess are right. Secrets of different lengths are unequal at once. If the length is secret too,
/// store hashes.
///
/// ```
/// use proxy_filter_kit::request::secret_eq;
///
/// assert!(secret_eq(b"k3y", b"k3y"));
/// assert!(!secret_eq("k3y", "k3z"));
/// ```
pub fn secret_eq(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> bool {
    one.as_ref().ct_eq(other.as_ref()).into()
}

/// The value of `authorization`: a scheme, and the rest.
///
/// ```
/// use proxy_filter_kit::request::Credentials;
///
/// let credentials = Credentials::parse(b"bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
/// let basic = credentials.basic().unwrap();
/// assert_eq!(
///     (basic.user.as_slice(), basic.password.as_slice()),
///     (&b"Aladdin"[..], &b"open sesame"[..])
/// );
/// ```
///
/// Source: RFC 9110, section 11.4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    scheme: &'a [u8],
    value: &'a [u8],
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Basic {
    /// The user's name, without a colon. It may have any bytes: check it before it is logged or
    /// sent in a header.
    pub user: Vec<u8>,
    /// The password. Compare it with [`secret_eq`].
    pub password: Vec<u8>,
}

// Secrets are not printed.
impl core::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Credentials({} ...)", self.scheme.escape_ascii())
    }
}

impl core::fmt::Debug for Basic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Basic({}:...)", self.user.escape_ascii())
    }
}

impl<'a> Credentials<'a> {
    /// Parses a scheme, one or more spaces, and the rest. Returns `None` if the scheme or the rest
    /// is missing.
    pub fn parse(authorization: &'a [u8]) -> Option<Self> {
        let space = authorization.iter().position(|byte| *byte == b' ')?;
        let (scheme, rest) = authorization.split_at_checked(space)?;
        let value = rest.iter().position(|byte| *byte != b' ').and_then(|start| rest.get(start..)).map(trim)?;
        (is_token(scheme) && !value.is_empty()).then_some(Self { scheme, value })
    }

    /// Returns the scheme as it was sent, in any case.
    pub fn scheme(&self) -> &'a [u8] {
        self.scheme
    }

    /// Returns the rest after the scheme, without spaces around it.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Whether the scheme is this one, in any case.
    pub fn is(&self, scheme: &str) -> bool {
        // Most clients send the usual case, which takes a third of the instructions.
        let is_same = |(one, other): (&u8, &u8)| one == other || one.eq_ignore_ascii_case(other);
        self.scheme.len() == scheme.len() && self.scheme.iter().zip(scheme.as_bytes()).all(is_same)
    }

    /// Returns the token of the scheme `Bearer`. Returns `None` for another scheme, or if a byte is
    /// not valid in a token.
    ///
    /// Source: RFC 6750, section 2.1.
    pub fn bearer(&self) -> Option<&'a [u8]> {
        let is_b64token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        (self.is("Bearer") && self.value.iter().all(is_b64token)).then_some(self.value)
    }

    /// Returns the user and the password of the scheme `Basic`. Returns `None` for another scheme,
    /// malformed base64, a missing colon, or control characters. Padding may be missing.
    ///
    /// Source: RFC 7617, section 2.
    pub fn basic(&self) -> Option<Basic> {
        let text = core::str::from_utf8(self.value).ok().filter(|_| self.is("Basic"))?;
        let decoded = Base64::decode_vec(text).or_else(|_| Base64Unpadded::decode_vec(text)).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at_checked(colon)?;
        let password = password.get(1..)?;
        let has_controls = decoded.iter().any(u8::is_ascii_control);
        (!has_controls).then(|| Basic { user: user.to_vec(), password: password.to_vec() })
    }
}

/// Returns the value of `authorization` for the scheme `Basic`. Returns `None` if the user has a
/// colon, or if the user or the password has control characters.
///
/// ```
/// use proxy_filter_kit::request::basic;
///
/// assert_eq!(basic("Aladdin", "open sesame").as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
/// assert_eq!(basic("a:b", "c"), None);
/// ```
///
/// Source: RFC 7617, section 2.
pub fn basic(user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Option<String> {
    let (user, password) = (user.as_ref(), password.as_ref());
    if user.contains(&b':') || user.iter().chain(password).any(u8::is_ascii_control) {
        return None;
    }
    let text = [user, b":", password].concat();
    Some(["Basic ", &Base64::encode_string(&text)].concat())
}

/// Returns the token of `authorization: Bearer …`, with the scheme in any case and any number of
/// spaces.
///
/// ```
/// use proxy_filter_kit::request::bearer;
///
/// assert_eq!(bearer(b"BEARER   mF_9.B5f-4.1JqM"), Some(&b"mF_9.B5f-4.1JqM"[..]));
/// assert_eq!(bearer(b"Basic Og=="), None);
/// ```
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    Credentials::parse(authorization)?.bearer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_has_any_case_and_one_or_more_spaces_follow() {
        for (before, is_fine) in [
            ("Bearer ", true),
            ("bearer ", true),
            ("bEaReR    ", true),
            ("Bearer", false),
            ("Bearer\t", false),
            ("Bearer\u{a0}", false),
            (" Bearer ", false),
            ("Bear ", false),
            ("Bearers ", false),
        ] {
            assert_eq!(bearer(format!("{before}a.b").as_bytes()).is_some(), is_fine, "{before:?}");
        }
        for odd in ["Bearer", "Bearer ", "Bearer    ", "", " ", "Bearer a b", "Bearer a,b", "Bearer \u{e9}"] {
            assert_eq!(bearer(odd.as_bytes()), None, "{odd:?}");
        }
        assert_eq!(bearer(b"Bearer abc= "), Some(&b"abc="[..]));
    }

    #[test]
    fn users_and_passwords_are_split_at_the_first_colon() {
        for (text, expected) in [
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))), // RFC 7617, section 2
            ("dGVzdDoxMjPCow==", Some(("test", "123\u{a3}"))),                  // RFC 7617, section 2.1
            ("dGVzdDoxMjPCow", Some(("test", "123\u{a3}"))),
            ("Og==", Some(("", ""))),
            ("YTpiOmM=", Some(("a", "b:c"))),
            ("YQ==", None),
            ("YQpiOmM=", None), // a line break in the name
            ("!!!!", None),
        ] {
            let header = format!("Basic {text}");
            let basic = Credentials::parse(header.as_bytes()).unwrap().basic();
            let expected = expected.map(|(user, password)| Basic { user: user.into(), password: password.into() });
            assert_eq!(basic, expected, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials::parse(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        let printed = format!("{credentials:?} {:?}", credentials.basic().unwrap());
        assert_eq!(printed, "Credentials(Basic ...) Basic(Aladdin:...)");
    }
    #[test]
    fn basic_credentials_are_read_as_they_were_written() {
        for (user, password) in [("", ""), ("a", ":"), ("J\u{f6}rg", "p w"), ("test", "123\u{a3}")] {
            let value = basic(user, password).unwrap();
            let read = Credentials::parse(value.as_bytes()).unwrap().basic().unwrap();
            assert_eq!((read.user, read.password), (user.as_bytes().to_vec(), password.as_bytes().to_vec()));
        }
        for (user, password) in [("a:", ""), ("a\n", ""), ("a", "\u{7f}")] {
            assert_eq!(basic(user, password), None);
        }
    }
}
