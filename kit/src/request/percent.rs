//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// The result of [`percent_decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PercentDecode<'a> {
    /// The decoded bytes. They may be any bytes: NUL, a slash, bytes that are not UTF-8.
    pub bytes: Cow<'a, [u8]>,
    /// Whether a `%` was not followed by two hexadecimal digits. Such a `%` is unchanged in
    /// `bytes`.
    pub malformed: bool,
}

/// Decodes `%XX` once. A `+` is unchanged; for query parameters, use [`Query`](super::Query).
///
/// Decode one segment of a path at a time: after decoding, an escaped slash does not differ from a
/// real one.
///
/// ```
/// use proxy_filter_kit::request::percent_decode;
///
/// assert_eq!(*percent_decode(b"caf%C3%A9").bytes, *"café".as_bytes());
/// assert_eq!(*percent_decode(b"%2541").bytes, *b"%41"); // once
/// assert!(percent_decode(b"100%").malformed);
/// ```
///
/// Source: RFC 3986, section 2.1.
pub fn percent_decode(bytes: &[u8]) -> PercentDecode<'_> {
    if !bytes.contains(&b'%') {
        return PercentDecode { bytes: Cow::Borrowed(bytes), malformed: false };
    }
    let (decoded, malformed) = decode(bytes, false);
    PercentDecode { bytes: Cow::Owned(decoded), malformed }
}

/// Encodes every byte except the unreserved ones of RFC 3986: letters, digits, `-`, `.`, `_` and
/// `~`.
///
/// ```
/// use proxy_filter_kit::request::percent_encode;
///
/// assert_eq!(percent_encode("a b/é".as_bytes()), "a%20b%2F%C3%A9");
/// ```
///
/// Source: RFC 3986, section 2.3.
pub fn percent_encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_unreserved(*byte) { encoded.push(char::from(*byte)) } else { push_escape(&mut encoded, *byte) }
    }
    encoded
}

/// Decodes, and returns whether an escape was malformed.
pub(super) fn decode(bytes: &[u8], plus_is_space: bool) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut malformed = false;
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, escape(after)) {
            (b'%', Some((value, after))) => {
                decoded.push(value);
                rest = after;
            }
            (b'+', _) if plus_is_space => decoded.push(b' '),
            _ => {
                malformed |= *byte == b'%';
                decoded.push(*byte);
            }
        }
    }
    (decoded, malformed)
}

/// Returns the value of the two digits after a `%`, and the rest.
pub(super) fn escape(after: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = after.split_first_chunk::<2>()?;
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    let value = high?.checked_mul(16)?.checked_add(low?)?;
    Some((u8::try_from(value).ok()?, rest))
}

pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

pub(super) fn push_escape(text: &mut String, byte: u8) {
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_bytes_are_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        let encoded = percent_encode(&all);
        assert_eq!(percent_decode(encoded.as_bytes()), PercentDecode { bytes: all.into(), malformed: false });
    }

    #[test]
    fn malformed_escapes_stay_as_they_are_and_are_reported() {
        for text in ["%", "%4", "%%41", "%4g", "%g4", "%\u{e9}", "a%", "%+1"] {
            let decoded = percent_decode(text.as_bytes());
            assert!(decoded.malformed, "{text}");
            assert_eq!(*decoded.bytes, *text.replace("%41", "A").as_bytes(), "{text}");
        }
        assert!(!percent_decode(b"%00%fF+").malformed);
        assert_eq!(*percent_decode(b"%00%fF+").bytes, [0, 0xff, b'+']);
    }
}
