//! The bytes of header fields: [`HeaderValue`], [`HeaderValues`], [`Pairs`], and [`printable`] for showing them.

use crate::abi::pairs;
use crate::error::{Error, ErrorKind, Result};
use crate::field::is_host;
use crate::sys::plain_ascii;
use core::borrow::Borrow;
use core::fmt::{self, Write as _};
use core::ops::Deref;

/// The value of a header field: bytes, as the peer sent them.
///
/// It dereferences to `[u8]` and compares with strings and byte strings. Printing it never fails, see [`printable`].
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
    /// The value as text.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub fn to_str(&self) -> Result<&str, core::str::Utf8Error> {
        core::str::from_utf8(&self.0)
    }

    /// The value's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value's bytes, without copying them.
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
        printable(&self.0).fmt(f)
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", printable(&self.0))
    }
}

/// Shows bytes from the network as one safe line of text, so that nobody can forge a log line.
///
/// | Bytes | Shown |
/// |---|---|
/// | printable ASCII but the backslash, and other valid UTF-8 | as they are |
/// | the backslash | `\\` |
/// | control bytes of ASCII, and bytes that are not UTF-8 | `\x0a`, `\xff` |
/// | characters that terminals obey or nobody can see: the controls U+0080 to U+009F, line separators (U+2028, U+2029), marks and overrides of the direction of text (U+200E, U+202E, U+2066 …), zero-width and other characters that Unicode lets a reader ignore | `\u{202e}` |
///
/// Two different values are never shown alike, so that the text can be a key. (Characters that only look alike remain as they are.)
///
/// ```
/// use proxy_filter::printable;
/// assert_eq!(printable(b"text/html").to_string(), "text/html");
/// assert_eq!(printable("caf\u{e9}\n".as_bytes()).to_string(), "caf\u{e9}\\x0a");
/// assert_eq!(printable(&[b'a', 0xff]).to_string(), "a\\xff");
/// assert_eq!(printable("user\u{202e}nimda").to_string(), "user\\u{202e}nimda");
/// assert_eq!(printable(br"a\xff").to_string(), r"a\\xff");
/// ```
pub fn printable<B: AsRef<[u8]> + ?Sized>(bytes: &B) -> Printable<'_> {
    Printable(bytes.as_ref())
}

/// What [`printable`] returns.
#[derive(Clone, Copy)]
pub struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match plain_ascii(self.0) {
            Some(text) => f.write_str(text),
            None => self.escape(f),
        }
    }
}

impl Printable<'_> {
    #[cold]
    #[inline(never)]
    fn escape(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match u32::from(character) {
                    code @ (0..=0x1f | 0x7f) => write!(f, "\\x{code:02x}")?,
                    code if is_unseen(code) => write!(f, "\\u{{{code:x}}}")?,
                    _ => {
                        if character == '\\' {
                            f.write_char(character)?;
                        }
                        f.write_char(character)?;
                    }
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether terminals obey the character, or readers cannot see it: the controls of Latin-1, the line
/// separators, and what Unicode says may be ignored (`Default_Ignorable_Code_Point`), which has the
/// controls of the direction of text.
fn is_unseen(code: u32) -> bool {
    const UNSEEN: [(u32, u32); 18] = [
        (0x80, 0x9f),
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x2028, 0x202e),
        (0x2060, 0x206f),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfffb),
        (0x1_bca0, 0x1_bca3),
        (0x1_d173, 0x1_d17a),
        (0xe_0000, 0xe_0fff),
    ];
    UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All fields of a header map in order, in the one buffer the host filled. Iterating copies nothing.
///
/// ```
/// # use proxy_filter::prelude::*;
/// fn size(request: &RequestHeaders) -> Result<usize> {
///     Ok(request.pairs()?.iter().map(|(name, value)| name.len() + value.len()).sum())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Pairs {
    /// What is not an encoded map has those fields that can be read.
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

    /// The same without the check, for a map of which a missing field says enough.
    pub(crate) const fn unchecked(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The fields in order: names in lower case, values as the peer sent them.
    pub fn iter(&self) -> PairsIter<'_> {
        PairsIter(pairs::walk(&self.bytes))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first value of a field. The name is compared without regard to case; `host` is `:authority` in requests.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.find(name.as_ref())
    }

    #[inline(never)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let find = |name| self.iter().find(|(found, _)| is_same_name(found, name)).map(|(_, value)| value);
        // Responses have no `:authority`, requests no `host`.
        find(name).or_else(|| if is_host(name) { find(b":authority") } else { None })
    }
}

/// Whether two names are the same without regard to case. Few are that begin and end with the same four bytes, which are compared at once.
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
        f.debug_map().entries(self.iter().map(|(name, value)| (printable(name), printable(value)))).finish()
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

/// Every value of one field, in order; what [`HeaderMap::get_all`](crate::HeaderMap::get_all) returns.
#[derive(Clone, Debug)]
pub struct HeaderValues {
    pairs: Pairs,
    name: Vec<u8>,
}

impl HeaderValues {
    pub(crate) fn new(pairs: Pairs, name: &[u8]) -> Self {
        Self { pairs, name: name.to_vec() }
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&self.name)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::{is_same_name, printable};

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

    #[test]
    fn what_is_shown_is_one_line_of_text() {
        for (bytes, shown) in [
            (&b""[..], ""),
            (b"text/html; charset=utf-8", "text/html; charset=utf-8"),
            ("caf\u{e9} \u{1f980}".as_bytes(), "caf\u{e9} \u{1f980}"),
            (b"a\r\nb\tc\x7f\0", "a\\x0d\\x0ab\\x09c\\x7f\\x00"),
            (b"\xff\xfeok\n", "\\xff\\xfeok\\x0a"),
            (br"a\xff", r"a\\xff"),
            ("\u{85}\u{9b}31m".as_bytes(), r"\u{85}\u{9b}31m"),
            ("\u{202e}\u{2066}\u{61c}\u{feff}\u{200b}".as_bytes(), r"\u{202e}\u{2066}\u{61c}\u{feff}\u{200b}"),
        ] {
            assert_eq!(printable(bytes).to_string(), shown);
        }
    }

    #[test]
    fn no_character_that_is_shown_is_a_control_or_changes_the_direction_of_text() {
        let directions = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let directions = directions.into_iter().chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let forbidden: Vec<char> = directions.chain(['\u{2028}', '\u{2029}', '\u{feff}']).collect();
        for character in '\0'..=char::MAX {
            let shown = printable(character.to_string().as_bytes()).to_string();
            let is_safe = |shown: char| !shown.is_control() && !forbidden.contains(&shown);
            assert!(shown.chars().all(is_safe), "{character:?}: {shown}");
        }
    }

    /// What [`printable`] shows, as the bytes it was made from.
    fn read(shown: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = shown;
        while let Some((plain, escape)) = rest.split_once('\\') {
            bytes.extend_from_slice(plain.as_bytes());
            if let Some(after) = escape.strip_prefix('x') {
                bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
                rest = &after[2..];
            } else if let Some(after) = escape.strip_prefix("u{") {
                let (code, after) = after.split_once('}').unwrap();
                let character = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
                bytes.extend_from_slice(character.to_string().as_bytes());
                rest = after;
            } else {
                bytes.push(b'\\');
                rest = escape.strip_prefix('\\').unwrap();
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }

    #[test]
    fn two_values_are_never_shown_alike() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            assert_eq!(read(&printable(text.as_bytes()).to_string()), text.as_bytes(), "{character:?}");
        }
        // Values made of what could be taken for an escape, or for a part of a character.
        let parts: [&[u8]; 16] = [
            b"\\",
            b"x",
            b"u",
            b"{",
            b"}",
            b"0a",
            b"\n",
            b"\x85",
            b"\xc2",
            b"\xc2\x85",
            b"\xe2\x80",
            b"\xae",
            b"\xff",
            b"e",
            b" ",
            b"x0a",
        ];
        let mut state = 0x2545_f491_u32;
        for _ in 0..200_000 {
            let mut value = Vec::new();
            for _ in 0..state % 7 {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                value.extend_from_slice(parts[state as usize % parts.len()]);
            }
            state = state.wrapping_mul(0x9e37_79b1).wrapping_add(1);
            assert_eq!(read(&printable(&value).to_string()), value, "{}", printable(&value));
        }
    }
}
