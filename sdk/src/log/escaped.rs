//! [`escaped`]: bytes from the network as text for a log.

use crate::sys::text::plain_ascii;
use core::fmt;

/// Shows bytes from the network as one safe line of text, so that no peer can forge a log line.
///
/// | Bytes | Shown |
/// |---|---|
/// | printable ASCII but the backslash, and other valid UTF-8 | as they are |
/// | the backslash | `\\` |
/// | control bytes of ASCII, and bytes that are not UTF-8 | `\x0a`, `\xff` |
/// | characters that terminals obey or nobody can see: the controls U+0080 to U+009F, line separators (U+2028, U+2029), marks and overrides of the direction of text (U+200E, U+202E, U+2066 …), zero-width and other characters that Unicode lets a reader ignore | `\u{202e}` |
///
/// Two different values are never shown alike, so that the text can be a key. (Characters that only
/// look alike remain as they are.)
///
/// ```
/// use proxy_filter::log::escaped;
/// assert_eq!(escaped(b"text/html").to_string(), "text/html");
/// assert_eq!(escaped("caf\u{e9}\n".as_bytes()).to_string(), "caf\u{e9}\\x0a");
/// assert_eq!(escaped(&[b'a', 0xff]).to_string(), "a\\xff");
/// assert_eq!(escaped("user\u{202e}nimda").to_string(), "user\\u{202e}nimda");
/// assert_eq!(escaped(br"a\xff").to_string(), r"a\\xff");
/// ```
pub fn escaped<B: AsRef<[u8]> + ?Sized>(bytes: &B) -> Escaped<'_> {
    Escaped(bytes.as_ref())
}

/// What [`escaped`] returns.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

impl Escaped<'_> {
    /// Returns the bytes that are shown.
    #[inline]
    pub(crate) fn as_raw(&self) -> &[u8] {
        self.0
    }

    /// Writes what is shown.
    #[inline]
    pub(crate) fn write_to(self, to: &mut impl fmt::Write) -> fmt::Result {
        match plain_ascii(self.0) {
            Some(text) => to.write_str(text),
            None => escape(self.0, to),
        }
    }

    /// The text that is shown.
    #[cfg(feature = "json")]
    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_to(&mut text);
        text
    }
}

/// Writes what is shown of bytes that are not plain ASCII, or of any others.
#[cold]
#[inline(never)]
pub(crate) fn escape(bytes: &[u8], to: &mut dyn fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut shown = 0;
        for (at, character) in valid.char_indices() {
            let code = u32::from(character);
            if !is_escaped(code) {
                continue;
            }
            to.write_str(valid.get(shown..at).unwrap_or_default())?;
            shown = at;
            if code == BACKSLASH {
                // The character itself follows with what comes behind it.
                to.write_str("\\")?;
                continue;
            }
            let (start, end) = if code < 0x80 { ("\\x", "") } else { ("\\u{", "}") };
            write_hex(to, start, code, end)?;
            shown += character.len_utf8();
        }
        to.write_str(valid.get(shown..).unwrap_or_default())?;
        for byte in chunk.invalid() {
            write_hex(to, "\\x", u32::from(*byte), "")?;
        }
    }
    Ok(())
}

const BACKSLASH: u32 = b'\\' as u32;

/// Whether a character is not shown as it is.
fn is_escaped(code: u32) -> bool {
    matches!(code, 0..=0x1f | 0x7f | BACKSLASH) || is_unseen(code)
}

/// Writes at least two hexadecimal digits.
#[inline(never)]
fn write_hex(to: &mut dyn fmt::Write, start: &str, code: u32, end: &str) -> fmt::Result {
    to.write_str(start)?;
    let mut shift = 4;
    while code >> shift > 0xf {
        shift += 4;
    }
    loop {
        let digit = (code >> shift & 0xf) as usize;
        to.write_str("0123456789abcdef".get(digit..=digit).unwrap_or_default())?;
        if shift == 0 {
            return to.write_str(end);
        }
        shift -= 4;
    }
}

/// Whether terminals obey the character, or readers cannot see it: the controls of Latin-1, the
/// line separators, and what Unicode says may be ignored (`Default_Ignorable_Code_Point`), which
/// has the controls of the direction of text.
fn is_unseen(code: u32) -> bool {
    /// The first in 20 bits, and the number of those that follow it.
    const fn range(first: u32, last: u32) -> u32 {
        first | (last - first) << 20
    }
    static UNSEEN: [u32; 18] = [
        range(0x80, 0x9f),
        range(0xad, 0xad),
        range(0x34f, 0x34f),
        range(0x61c, 0x61c),
        range(0x115f, 0x1160),
        range(0x17b4, 0x17b5),
        range(0x180b, 0x180f),
        range(0x200b, 0x200f),
        range(0x2028, 0x202e),
        range(0x2060, 0x206f),
        range(0x3164, 0x3164),
        range(0xfe00, 0xfe0f),
        range(0xfeff, 0xfeff),
        range(0xffa0, 0xffa0),
        range(0xfff0, 0xfffb),
        range(0x1_bca0, 0x1_bca3),
        range(0x1_d173, 0x1_d17a),
        range(0xe_0000, 0xe_0fff),
    ];
    // A loop over the table is a tenth of what the compiler makes of its bounds.
    let table: &[u32] = core::hint::black_box(&UNSEEN);
    table.iter().any(|range| code.wrapping_sub(range & 0xf_ffff) <= range >> 20)
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use crate::log::escaped::escaped;

    #[test]
    fn escaped_text_is_one_line() {
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
            assert_eq!(escaped(bytes).to_string(), shown);
        }
    }

    #[test]
    fn no_escaped_text_has_a_control_character_or_changes_the_direction_of_text() {
        let directions = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let directions = directions.into_iter().chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let forbidden: Vec<char> = directions.chain(['\u{2028}', '\u{2029}', '\u{feff}']).collect();
        for character in '\0'..=char::MAX {
            let shown = escaped(character.to_string().as_bytes()).to_string();
            let is_safe = |shown: char| !shown.is_control() && !forbidden.contains(&shown);
            assert!(shown.chars().all(is_safe), "{character:?}: {shown}");
        }
    }

    /// What [`escaped`] shows, as the bytes it was made from.
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
    fn different_values_are_escaped_differently() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            assert_eq!(read(&escaped(text.as_bytes()).to_string()), text.as_bytes(), "{character:?}");
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
            assert_eq!(read(&escaped(&value).to_string()), value, "{}", escaped(&value));
        }
    }
}
