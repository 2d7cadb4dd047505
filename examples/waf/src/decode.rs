//! Decoders for the encodings that can hide a pattern. Each decoder reads a byte at a time and
//! stores a few, so that the ends of chunks do not matter.

/// A decoder.
pub(crate) trait Decode {
    /// Reads a byte, and appends the bytes that are decoded now to `out`.
    fn push(&mut self, byte: u8, out: &mut Vec<u8>);
}

/// `%2e`, `%u002e`, and `+` for a space. Repeated encodings are decoded repeatedly.
#[derive(Debug, Default)]
pub(crate) struct Percent {
    /// The start of an escape.
    pending: Vec<u8>,
}

impl Decode for Percent {
    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            _ if self.pending.is_empty() => match byte {
                b'%' => self.pending.push(byte),
                b'+' => out.push(b' '),
                _ => out.push(byte),
            },
            b'u' | b'U' if self.pending.len() == 1 => self.pending.push(byte),
            _ if byte.is_ascii_hexdigit() => {
                self.pending.push(byte);
                let unit = match self.pending.as_slice() {
                    [_, b'u' | b'U', digits @ ..] if digits.len() == 4 => number(digits),
                    [_, a, b] if a.is_ascii_hexdigit() => number(&[*a, *b]),
                    _ => return,
                };
                let wide = self.pending.len() > 3;
                self.pending.clear();
                match u8::try_from(unit) {
                    // May be the start of another escape.
                    Ok(b'%') => self.pending.push(b'%'),
                    Ok(byte) if !wide => out.push(byte),
                    _ => push_unit(unit, out),
                }
            }
            _ => {
                out.append(&mut self.pending);
                self.push(byte, out);
            }
        }
    }
}

/// Escapes of JSON and JavaScript: `\u003c`, `\x3c`, `\/`.
#[derive(Debug, Default)]
pub(crate) struct Backslash {
    /// The start of an escape.
    pending: Vec<u8>,
}

impl Decode for Backslash {
    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.pending.as_slice(), byte) {
            ([], b'\\') | ([_], b'u' | b'x') => self.pending.push(byte),
            ([], _) => out.push(byte),
            ([_], _) => {
                out.push(if b"bfnrtv".contains(&byte) { b' ' } else { byte });
                self.pending.clear();
            }
            ([_, kind, digits @ ..], _) if byte.is_ascii_hexdigit() => {
                let length = if *kind == b'u' { 4 } else { 2 };
                let digits = [digits, &[byte]].concat();
                if digits.len() == length {
                    push_unit(number(&digits), out);
                    self.pending.clear();
                } else {
                    self.pending.push(byte);
                }
            }
            _ => {
                out.append(&mut self.pending);
                self.push(byte, out);
            }
        }
    }
}

/// Comments of SQL, `/* … */`, become a space. A server executes the text in `/*!50000 … */`, so
/// only its marks are removed.
#[derive(Debug, Default)]
pub(crate) struct Comments {
    state: Comment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Comment {
    #[default]
    Outside,
    Slash,
    Star,
    Opened,
    Version,
    Inside,
    InsideStar,
}

impl Decode for Comments {
    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (Comment::Slash, b'*') => {
                out.push(b' ');
                Comment::Opened
            }
            (Comment::Star, b'/') => {
                out.push(b' ');
                Comment::Outside
            }
            (Comment::Opened, b'!') | (Comment::Version, b'0'..=b'9') => Comment::Version,
            (Comment::InsideStar, b'/') => Comment::Outside,
            (Comment::Opened | Comment::Inside | Comment::InsideStar, b'*') => Comment::InsideStar,
            (Comment::Opened | Comment::Inside | Comment::InsideStar, _) => Comment::Inside,
            (state, _) => {
                match state {
                    Comment::Slash => out.push(b'/'),
                    Comment::Star => out.push(b'*'),
                    _ => {}
                }
                match byte {
                    b'/' => Comment::Slash,
                    b'*' => Comment::Star,
                    _ => {
                        out.push(byte);
                        Comment::Outside
                    }
                }
            }
        };
    }
}

/// Maps text that many readers treat as equal to the same bytes: upper and lower case, all white
/// space, overlong and fullwidth characters. Zeros and characters without a width are dropped, so
/// that UTF-16 reads like ASCII.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    /// The start of a character of several bytes.
    pending: Vec<u8>,
    after_space: bool,
}

impl Decode for Fold {
    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        let length = match self.pending.first() {
            None => {
                match byte {
                    0xc0..=0xf7 => self.pending.push(byte),
                    _ => self.emit(byte, out),
                }
                return;
            }
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(_) => 4,
        };
        if byte & 0xc0 != 0x80 {
            // The bytes are not a character, and are used separately.
            for byte in core::mem::take(&mut self.pending) {
                self.emit(byte, out);
            }
            return self.push(byte, out);
        }
        self.pending.push(byte);
        if self.pending.len() == length {
            self.emit_character(length, out);
        }
    }
}

impl Fold {
    fn emit(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0 => {}
            // 0xa0 is a space in Latin 1.
            1..=0x20 | 0x7f | 0xa0 => {
                if !self.after_space {
                    out.push(b' ');
                }
                self.after_space = true;
            }
            _ => {
                out.push(byte.to_ascii_lowercase());
                self.after_space = false;
            }
        }
    }

    fn emit_character(&mut self, length: usize, out: &mut Vec<u8>) {
        let bytes = core::mem::take(&mut self.pending);
        let lead_bits = 0x7f_u32 >> length;
        let character = bytes.iter().enumerate().fold(0, |character, (index, byte)| {
            let bits = if index == 0 { lead_bits } else { 0x3f };
            character << 6 | u32::from(*byte) & bits
        });
        let ascii = match character {
            0..0x80 => u8::try_from(character).ok(),
            // Fullwidth forms of ASCII.
            0xff01..=0xff5e => u8::try_from(character - 0xfee0).ok(),
            0x17f => Some(b's'),
            0x212a => Some(b'k'),
            0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000 => Some(b' '),
            0xad | 0x200b..=0x200f | 0x2060 | 0xfeff => Some(0),
            _ => None,
        };
        if let Some(byte) = ascii {
            self.emit(byte, out);
        } else {
            out.extend(bytes);
            self.after_space = false;
        }
    }
}

/// Returns all bytes through one decoder. Bytes that it still stores at the end are not an escape,
/// and are dropped.
pub(crate) fn decoded(decoder: &mut dyn Decode, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        decoder.push(*byte, &mut out);
    }
    out
}

/// Returns the number in at most four hexadecimal digits.
fn number(digits: &[u8]) -> u16 {
    let digits = digits.iter().filter_map(|digit| char::from(*digit).to_digit(16));
    digits.fold(0, |number, digit| number << 4 | u16::try_from(digit).unwrap_or_default())
}

/// Appends a UTF-16 unit as UTF-8. Half of a pair is not a character.
fn push_unit(unit: u16, out: &mut Vec<u8>) {
    let character = char::from_u32(unit.into()).unwrap_or('\u{fffd}');
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
