//! The bytes of header fields: [`HeaderValue`], [`HeaderValues`], [`Pairs`].

use crate::abi::field::is_host;
use crate::abi::pairs;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::log::escaped::escaped;
use crate::log::parts::{AsPart, Part};
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

/// The value of a header field: bytes, as the peer sent them.
///
/// It dereferences to `[u8]` and compares with strings and byte strings. Printing it never fails:
/// see [`escaped`].
///
/// ```
/// use proxy_filter::HeaderValue;
///
/// let value = HeaderValue::from("Bearer abc");
/// assert_eq!(value, "Bearer abc");
/// assert_eq!(value.strip_prefix(b"Bearer "), Some(&b"abc"[..]));
/// assert_eq!(value.to_str()?, "Bearer abc");
///
/// let value = HeaderValue::from(vec![0xff, 0xfe]);
/// assert!(value.to_str().is_err(), "a client may send what is not UTF-8");
/// assert_eq!(value.to_string(), "\\xff\\xfe");
/// # Ok::<(), proxy_filter::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderValue(Vec<u8>);

impl HeaderValue {
    /// Returns the value as text.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub fn to_str(&self) -> Result<&str, core::str::Utf8Error> {
        core::str::from_utf8(&self.0)
    }

    /// Returns the bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes of the value without copying them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Deref for HeaderValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for HeaderValue {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for HeaderValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for HeaderValue {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

macro_rules! compare {
    ($($other:ty),*) => {
        $(impl PartialEq<$other> for HeaderValue {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                self.0 == other
            }
        })*
    };
}

compare!(str, &str, String, [u8], &[u8]);

impl<const N: usize> PartialEq<&[u8; N]> for HeaderValue {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.0 == other.as_slice()
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(&self.0).fmt(f)
    }
}

impl AsPart for HeaderValue {
    #[inline]
    fn as_part(&self) -> Part<'_> {
        Part::Escaped(escaped(&self.0))
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", escaped(&self.0))
    }
}

/// All fields of a header map in order, in the buffer that the host filled. Iterating copies
/// nothing.
///
/// ```
/// # use proxy_filter::prelude::*;
/// fn size(request: &RequestHeaders) -> Result<usize> {
///     Ok(request.pairs()?.iter().map(|(name, value)| name.len() + value.len()).sum())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Pairs {
    /// If the bytes are not an encoded map, iteration returns the fields that can be read.
    bytes: Vec<u8>,
}

impl Pairs {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self> {
        match pairs::validate(&bytes) {
            Ok(()) => Ok(Self { bytes }),
            Err(pairs::Malformed) => {
                Err(Error::refused(ErrorKind::Malformed, "the host's header map is not encoded as the ABI says"))
            }
        }
    }

    /// Creates the same without the check, for maps in which a missing field is sufficient
    /// information.
    pub(crate) const fn unchecked(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Returns the fields in order: names in lower case, values as the peer sent them.
    pub fn iter(&self) -> PairsIter<'_> {
        PairsIter(pairs::walk(&self.bytes))
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first value of a field. The name is compared without regard to case; in
    /// requests, `host` is `:authority`.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.find(name.as_ref())
    }

    #[inline(never)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let find = |name: &[u8]| pairs::find(&self.bytes, name.len(), |found| is_same_name(found, name));
        // Responses have no `:authority`, and requests no `host`.
        find(name).or_else(|| if is_host(name) { find(b":authority") } else { None })
    }
}

/// Returns whether two names are equal without regard to case. It first compares the first and the
/// last four bytes at once, which differ for most names.
#[inline]
fn is_same_name(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ends = (a.first_chunk::<4>(), b.first_chunk::<4>(), a.last_chunk::<4>(), b.last_chunk::<4>());
    if let (Some(first_a), Some(first_b), Some(last_a), Some(last_b)) = ends {
        let differing = |a: &[u8; 4], b: &[u8; 4]| u32::from_le_bytes(*a) ^ u32::from_le_bytes(*b);
        let bits = differing(first_a, first_b) | differing(last_a, last_b);
        // The bit of the case may differ.
        if bits & !CASE != 0 {
            return false;
        }
        if bits == 0 && a.len() <= 8 {
            return true;
        }
    }
    a.eq_ignore_ascii_case(b)
}

const CASE: u32 = 0x2020_2020;

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (escaped(name), escaped(value)))).finish()
    }
}

impl<'a> IntoIterator for &'a Pairs {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = PairsIter<'a>;

    fn into_iter(self) -> PairsIter<'a> {
        self.iter()
    }
}

/// Iterates over [`Pairs`].
#[derive(Clone, Debug)]
pub struct PairsIter<'a>(pairs::Iter<'a>);

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for PairsIter<'_> {}

/// Every value of one field, in order: the result of
/// [`HeaderMap::get_all`](crate::HeaderMap::get_all).
#[derive(Clone, Debug)]
pub struct HeaderValues {
    pairs: Pairs,
    name: Vec<u8>,
}

impl HeaderValues {
    pub(crate) fn new(pairs: Pairs, name: &[u8]) -> Self {
        Self { pairs, name: name.to_vec() }
    }

    /// Returns the values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&self.name)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use crate::fields::header_value::is_same_name;

    #[test]
    fn names_are_the_same_without_regard_to_case() {
        let names = [
            "",
            "a",
            "te",
            "x-a",
            "date",
            "Date",
            "x-user",
            "X-User",
            "x-usee",
            "^-user",
            "~-user",
            ":status",
            "content-length",
            "Content-Length",
            "content_length",
            "content-type",
            "content-typo",
            "12345678",
            "1234567890",
            "1234xx7890",
        ];
        for a in names {
            for b in names {
                let expected = a.eq_ignore_ascii_case(b);
                assert_eq!(is_same_name(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            }
        }
    }
}
