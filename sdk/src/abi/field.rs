//! What may go onto the wire as the name and the value of a header field.

use crate::abi::map_type::MapType;

const NO_NAME: &str = "a header needs a name";
const BAD_NAME: &str = "a header name has letters, digits and !#$%&'*+-.^_`|~ only";
const BAD_VALUE: &str = "a control byte in a header value: escape or remove it";
const NO_PSEUDO: &str = "this map does not have the pseudo-header; local replies, callouts and trailers have none";

/// Whether a field may go onto the wire where pseudo-headers are not for the author: in local
/// replies and callouts.
#[inline(never)]
pub(crate) fn check_field(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    check_name(name)?;
    check_value(value)
}

/// The same in one of the stream's maps, which may have pseudo-headers.
#[inline]
pub(crate) fn check_field_of(map: MapType, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    if is_token(name) && !is_host(name) { check_value(value) } else { check_special(map, name, value) }
}

/// Whether a name may stand in one of the stream's maps.
#[inline]
pub(crate) fn check_name_of(map: MapType, name: &[u8]) -> Result<(), &'static str> {
    if is_token(name) || Pseudo::find(map, name).is_some() { Ok(()) } else { check_name(name) }
}

/// Whether a value may go onto the wire: tabs, visible characters, spaces, and bytes above 127.
#[inline]
pub(crate) fn check_value(value: &[u8]) -> Result<(), &'static str> {
    if has_odd_word(value, is_odd_in_value) && value.iter().any(|byte| is_control(*byte)) {
        Err(BAD_VALUE)
    } else {
        Ok(())
    }
}

/// Whether a name may stand where no pseudo-header may.
#[inline]
pub(crate) fn check_name(name: &[u8]) -> Result<(), &'static str> {
    if is_token(name) { Ok(()) } else { Err(why_no_name(name)) }
}

#[cold]
#[inline(never)]
fn why_no_name(name: &[u8]) -> &'static str {
    match name.first() {
        None => NO_NAME,
        Some(b':') => NO_PSEUDO,
        Some(_) => BAD_NAME,
    }
}

#[inline(never)]
fn check_special(map: MapType, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    match Pseudo::find(map, name) {
        Some(pseudo) => pseudo.check(value),
        None => check_field(name, value),
    }
}

/// The fields of which a message has one each, and that have rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pseudo {
    Method,
    Path,
    Scheme,
    Authority,
    Protocol,
    Status,
}

impl Pseudo {
    /// The pseudo-header that the name means in a map. `host` is `:authority` in requests.
    #[inline(never)]
    pub(crate) fn find(map: MapType, name: &[u8]) -> Option<Self> {
        let known: &[(&[u8], Self)] = match map {
            MapType::REQUEST_HEADERS => &[
                (b":method", Self::Method),
                (b":path", Self::Path),
                (b":scheme", Self::Scheme),
                (b":authority", Self::Authority),
                (b"host", Self::Authority),
                (b":protocol", Self::Protocol),
            ],
            MapType::RESPONSE_HEADERS => &[(b":status", Self::Status)],
            _ => &[],
        };
        known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, pseudo)| *pseudo)
    }

    #[inline(never)]
    fn check(self, value: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Method => check_method(value),
            Self::Path => check_path(value),
            Self::Authority => check_authority(value),
            Self::Scheme => match value {
                [first, rest @ ..] if first.is_ascii_alphabetic() && rest.iter().all(|byte| is_of_scheme(*byte)) => {
                    Ok(())
                }
                _ => Err("`:scheme` is a word as `http` is"),
            },
            Self::Protocol if is_token(value) => Ok(()),
            Self::Protocol => Err("`:protocol` is a word as `websocket` is"),
            Self::Status => match value {
                [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => Ok(()),
                _ => Err("`:status` is a number between 100 and 599"),
            },
        }
    }
}

/// Whether the field is one of those of which a message has one, so that a second value must not be
/// added.
#[inline]
pub(crate) fn is_single(map: MapType, name: &[u8]) -> bool {
    name.first() == Some(&b':') || (is_host(name) && map == MapType::REQUEST_HEADERS)
}

/// The fields of which a message has one, as far as they have been seen.
#[derive(Debug, Default)]
pub(crate) struct Singles(u8);

impl Singles {
    /// Whether the name is not that of a second one.
    #[inline]
    pub(crate) fn check(&mut self, map: MapType, name: &[u8]) -> Result<(), &'static str> {
        if !is_single(map, name) {
            return Ok(());
        }
        let bit = Pseudo::find(map, name).map_or(0, |pseudo| 1 << pseudo as u8);
        if self.0 & bit != 0 {
            return Err("the same pseudo-header twice; `host` is `:authority`");
        }
        self.0 |= bit;
        Ok(())
    }
}

#[inline]
pub(crate) fn is_host(name: &[u8]) -> bool {
    name.len() == 4 && name.eq_ignore_ascii_case(b"host")
}

/// Whether the text may be the method of a request.
#[inline(never)]
pub(crate) fn check_method(method: &[u8]) -> Result<(), &'static str> {
    // Most callouts have one of these two.
    if matches!(method, b"GET" | b"POST") || is_token(method) {
        Ok(())
    } else {
        Err("a method is a word as `GET` is: without spaces and control bytes")
    }
}

/// Whether the text may be the path of a request: a path, or the `*` of `OPTIONS`.
pub(crate) fn check_path(path: &[u8]) -> Result<(), &'static str> {
    match path {
        b"*" => Ok(()),
        [b'/', ..] if is_visible(path) || has_no_space_or_control(path) => Ok(()),
        _ => Err("a path begins with `/` and has no spaces and no control bytes: percent-encode them"),
    }
}

/// Whether the text may be the authority of a request. Names of clusters stand for it, so that more
/// is allowed than in names of hosts.
pub(crate) fn check_authority(authority: &[u8]) -> Result<(), &'static str> {
    if is_visible(authority) {
        Ok(())
    } else {
        Err("an authority is visible ASCII; that of a callout is its cluster's name unless `authority` gives another")
    }
}

const fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Whether all bytes are visible ASCII: `!` to `~`.
#[inline(never)]
fn is_visible(bytes: &[u8]) -> bool {
    !has_odd_word(bytes, is_odd_in_text)
}

#[cold]
#[inline(never)]
fn has_no_space_or_control(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
}

/// Whether a field's value must not have the byte.
const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Whether the bytes are a token (RFC 9110): the name of a field, a method.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && (!has_odd_word(bytes, is_odd_in_name) || are_of_token(bytes))
}

#[cold]
#[inline(never)]
fn are_of_token(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| TOKEN.get(usize::from(*byte >> 6)).is_some_and(|bits| bits >> (byte & 63) & 1 != 0);
    bytes.iter().all(is_of_token)
}

/// A bit for each byte that a token may have.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const TOKEN: [u64; 4] = {
    let mut bits = [0; 4];
    let mut byte = b'!';
    while byte <= b'~' {
        let is_delimiter = matches!(byte, b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}');
        if !is_delimiter {
            bits[(byte >> 6) as usize] |= 1 << (byte & 63);
        }
        byte += 1;
    }
    bits
};

/// The same for a constant, or the name of a pseudo-header.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
pub(crate) const fn is_constant_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        let byte = name[at];
        if byte >= 0x80 || TOKEN[(byte >> 6) as usize] >> (byte & 63) & 1 == 0 {
            return is_pseudo(name);
        }
        at += 1;
    }
    !name.is_empty()
}

/// Whether it is the name of a pseudo-header, of requests or of responses.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const fn is_pseudo(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b":method", b":path", b":scheme", b":authority", b":protocol", b":status"];
    let mut at = 0;
    while at < NAMES.len() {
        if is_same(NAMES[at], name) {
            return true;
        }
        at += 1;
    }
    false
}

/// Compares two names without regard to case. The method of slices is no constant function in the
/// oldest compiler that the SDK supports.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at].eq_ignore_ascii_case(&other[at]) {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Whether a constant may be the value of a field.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
pub(crate) const fn is_constant_value(value: &[u8]) -> bool {
    let mut at = 0;
    while at < value.len() {
        if is_control(value[at]) {
            return false;
        }
        at += 1;
    }
    true
}

const EACH: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = EACH * 0x80;

/// Returns whether `odd` finds a byte. It receives eight bytes at once, and returns 0 if it finds
/// none. The first and last eight bytes overlap, which replaces a loop over the rest. For a
/// literal, the compiler computes the result.
#[inline]
fn has_odd_word(bytes: &[u8], odd: impl Fn(u64) -> u64) -> bool {
    let odd_chunk = |chunk: [u8; 8]| odd(u64::from_le_bytes(chunk));
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => odd_chunk(*first) | odd_chunk(*last) != 0,
        (Some(_), Some(last)) => {
            let is_odd = |chunk: &[u8]| chunk.try_into().is_ok_and(|chunk| odd_chunk(chunk) != 0);
            odd_chunk(*last) != 0 || bytes.chunks_exact(8).any(is_odd)
        }
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                odd(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))) != 0
            }
            _ => bytes.iter().any(|byte| odd(u64::from(*byte) * EACH) != 0),
        },
    }
}

/// Whether one of eight bytes is not visible ASCII.
#[inline]
const fn is_odd_in_text(word: u64) -> u64 {
    // A byte below 0x21 borrows into its high bit, 0x7f carries into it, and others have it set.
    // What borrows or carries beyond that is odd itself.
    (word.wrapping_sub(EACH * 0x21) | word.wrapping_add(EACH) | word) & HIGH
}

/// Whether one of eight bytes is below 0x20 or 0x7f. Tabs are looked at again, and so are bytes
/// that are not ASCII.
#[inline]
const fn is_odd_in_value(word: u64) -> u64 {
    // A byte below 0x20 borrows into its high bit, and 0x7f carries into it.
    (word.wrapping_sub(EACH * 0x20) | word.wrapping_add(EACH)) & HIGH
}

/// Returns the high bits of the bytes that are at least `first`, if no byte has its own high bit
/// set.
#[inline]
const fn bytes_from(first: u8, low: u64) -> u64 {
    low + EACH * (0x80 - first as u64)
}

/// Returns whether one of eight bytes is outside `a` to `z`, `^`, `_`, `` ` ``, the digits and `-`.
/// Other bytes of tokens are then checked individually.
#[inline]
const fn is_odd_in_name(word: u64) -> u64 {
    // Without the high bits, which are checked below, no carry crosses a byte boundary.
    let low = word & !HIGH;
    let letters = bytes_from(b'^', low) & !bytes_from(b'{', low);
    let digits = bytes_from(b'0', low) & !bytes_from(b':', low);
    let dashes = !((low ^ (EACH * b'-' as u64)) + EACH * 0x7f);
    !(letters | digits | dashes) & HIGH | word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: &[u8] = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    fn is_fit_for_value(byte: u8) -> bool {
        matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)
    }

    #[test]
    fn every_position_of_every_byte_in_every_length_is_seen() {
        for length in 1..40 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    assert_eq!(check_value(&bytes).is_ok(), is_fit_for_value(byte), "{byte} at {at} of {length}");
                    assert_eq!(is_token(&bytes), TOKENS.contains(&byte), "{byte} at {at} of {length}");
                    assert_eq!(is_visible(&bytes), byte.is_ascii_graphic(), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(check_value(b"").is_ok() && !is_token(b""));
    }

    #[test]
    fn neighbours_of_odd_bytes_do_not_hide_them() {
        let edges = [0, 1, 9, 0x1f, 0x20, 0x2c, b'-', b'/', b'0', b'9', b':', b'^', b'z', b'{', 0x7e, 0x7f, 0x80, 0xff];
        for first in edges {
            for second in edges {
                let bytes = [b'a', first, second, b'b', b'z', first, b'c', second, b'~'];
                assert_eq!(check_value(&bytes).is_ok(), bytes.iter().all(|byte| is_fit_for_value(*byte)), "{bytes:?}");
                assert_eq!(is_token(&bytes), bytes.iter().all(|byte| TOKENS.contains(byte)), "{bytes:?}");
                assert_eq!(is_visible(&bytes), bytes.iter().all(u8::is_ascii_graphic), "{bytes:?}");
            }
        }
    }

    #[test]
    fn pseudo_headers_are_those_of_the_map() {
        let maps = [
            (MapType::REQUEST_HEADERS, &[":method", ":path", ":scheme", ":authority", ":protocol"][..]),
            (MapType::RESPONSE_HEADERS, &[":status"]),
            (MapType::REQUEST_TRAILERS, &[]),
            (MapType::RESPONSE_TRAILERS, &[]),
        ];
        for (map, own) in maps {
            for name in [":method", ":path", ":scheme", ":authority", ":protocol", ":status", ":x", ":", ":Path"] {
                let is_own = own.iter().any(|own| own.eq_ignore_ascii_case(name));
                let value: &[u8] = match name {
                    ":status" => b"200",
                    _ if name.eq_ignore_ascii_case(":path") => b"/",
                    _ => b"a",
                };
                assert_eq!(check_field_of(map, name.as_bytes(), value).is_ok(), is_own, "{name} in {map:?}");
                assert_eq!(check_name_of(map, name.as_bytes()).is_ok(), is_own, "{name} in {map:?}");
                assert!(check_field(name.as_bytes(), value).is_err());
            }
        }
    }

    #[test]
    fn values_of_pseudo_headers_have_separate_rules() {
        let request =
            |name: &str, value: &[u8]| check_field_of(MapType::REQUEST_HEADERS, name.as_bytes(), value).is_ok();
        let status = |value: &[u8]| check_field_of(MapType::RESPONSE_HEADERS, b":status", value).is_ok();
        for byte in 0..=u8::MAX {
            let within = |before: u8| [before, byte, b'a'];
            assert_eq!(request(":method", &within(b'A')), TOKENS.contains(&byte), "{byte}");
            assert_eq!(request(":path", &within(b'/')), !matches!(byte, 0..=0x20 | 0x7f), "{byte}");
            assert_eq!(request(":path", &[byte]), matches!(byte, b'/' | b'*'), "{byte}");
            for name in [":authority", "host", "Host"] {
                assert_eq!(request(name, &within(b'a')), matches!(byte, 0x21..=0x7e), "{byte}");
            }
            assert_eq!(
                request(":scheme", &within(b'h')),
                byte.is_ascii_alphanumeric() || b"+-.".contains(&byte),
                "{byte}"
            );
            assert_eq!(status(&[b'2', b'0', byte]), byte.is_ascii_digit(), "{byte}");
        }
        assert!(
            !request(":method", b"") && !request(":path", b"") && !request(":scheme", b"") && !request(":path", b"**")
        );
        for (value, is_fit) in
            [("99", false), ("100", true), ("599", true), ("600", false), ("0200", false), ("", false)]
        {
            assert_eq!(status(value.as_bytes()), is_fit, "{value}");
        }
        assert!(check_field_of(MapType::RESPONSE_HEADERS, b"host", b"a b").is_ok(), "an ordinary field there");
    }
}
