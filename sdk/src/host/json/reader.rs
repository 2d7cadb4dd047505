//! The deserializer: JSON from bytes, in less code than `serde_json`'s.
//!
//! It accepts what `serde_json::from_slice` accepts, which a test compares for generated texts and
//! types. Reading JSON is no purpose of this crate, but small modules are: `http_config` has 82 KB
//! with `serde_json` and `serde_path_to_error`, and 51 KB with this.
//!
//! Most code is shared: generic functions delegate to functions that are not generic. Only types
//! with fractions contain the conversion of such numbers, because it needs large tables.

use super::fault::{Fault, quoted};
use super::place;
use crate::host::stack;
use crate::log::escaped::escaped;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};

type Result<T> = core::result::Result<T, Fault>;

/// How many arrays and objects may be nested, and one more: as many as `serde_json` accepts.
const DEPTH: u8 = 128;

pub(crate) struct Reader<'de> {
    text: &'de [u8],
    at: usize,
    /// The levels that may still be entered, and one more.
    depth: u8,
    /// Where the element of an array ends that was refused when it had been read. Such an error is
    /// about the element, not about an array that ends there.
    refused: Option<usize>,
}

/// A number as it is written.
enum Number<'de> {
    Unsigned(u64),
    Negative(i64),
    /// It has a fraction or an exponent, or is an integer that does not fit.
    Other(&'de str),
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(text: &'de [u8]) -> Self {
        Self { text, at: 0, depth: DEPTH, refused: None }
    }

    /// Where the reader is: after an error, the place of that.
    pub(crate) const fn place(&self) -> usize {
        self.at
    }

    /// Whether an error is about the last element of an array that ends at the place, not about the
    /// array.
    pub(crate) fn is_of_element(&self) -> bool {
        self.refused == Some(self.at)
    }

    /// Records the error of an element that begins here. An error inside the element has its own
    /// place.
    #[cold]
    #[inline(never)]
    fn refuse_element(&mut self, start: usize) {
        let element = self.text.get(start..self.at).unwrap_or_default();
        if place::levels(element, element.len()).is_empty() {
            self.refused = Some(self.at);
        }
    }

    /// Refuses anything after the value.
    #[inline(never)]
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.next() == 0 && self.at >= self.text.len() { Ok(()) } else { Err(fault("trailing characters")) }
    }

    /// Returns the byte at the position; 0 at the end, because JSON text never contains 0.
    #[inline]
    fn here(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The first byte after spaces.
    #[inline(never)]
    fn next(&mut self) -> u8 {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.here() {
            self.at += 1;
        }
        self.here()
    }

    /// Returns the error for text that is not `expected`.
    #[cold]
    #[inline(never)]
    fn unexpected(&self, expected: &str) -> Fault {
        if self.at < self.text.len() {
            Fault::new(&["expected ", expected])
        } else {
            Fault::new(&["the text ends before ", expected])
        }
    }

    fn eat(&mut self, byte: u8, name: &str) -> Result<()> {
        if self.next() != byte {
            return Err(self.unexpected(name));
        }
        self.at += 1;
        Ok(())
    }

    #[inline(never)]
    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text.get(self.at..).unwrap_or_default().starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes into an array or an object.
    #[inline(never)]
    fn enter(&mut self) -> Result<()> {
        stack::check().map_err(Fault::custom)?;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            return Err(fault("recursion limit exceeded"));
        }
        self.at += 1;
        Ok(())
    }

    /// Leaves an array or object.
    #[inline(never)]
    fn leave(&mut self, close: u8) -> Result<()> {
        if self.next() != close {
            return Err(if self.here() == b',' { fault("trailing characters") } else { self.unexpected(name(close)) });
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// Advances to the next value of an array or key of an object, if any.
    #[inline(never)]
    fn more(&mut self, is_first: bool, close: u8) -> Result<bool> {
        let byte = self.next();
        if byte == close {
            return Ok(false);
        }
        if !is_first {
            if byte != b',' {
                return Err(self.unexpected(if close == b']' { "`,` or `]`" } else { "`,` or `}`" }));
            }
            self.at += 1;
            if self.next() == close {
                return Err(fault("trailing comma"));
            }
        }
        if close == b'}' && self.here() != b'"' {
            return Err(self.unexpected("a key, which must be a string"));
        }
        Ok(true)
    }

    /// Skips a string. Returns the bytes between the quotes, and whether they contain escapes.
    #[inline(never)]
    fn pass_string(&mut self) -> Result<(&'de [u8], bool)> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            match self.here() {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.at += 1;
                    match self.here() {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            self.at += 4;
                            let digits = self.text.get(self.at - 3..=self.at);
                            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                                self.at = self.at.min(self.text.len());
                                return Err(fault("invalid escape"));
                            }
                        }
                        _ => return Err(fault("invalid escape")),
                    }
                }
                0..=0x1f if self.at >= self.text.len() => return Err(self.unexpected("the end of a string")),
                0..=0x1f => return Err(fault("a control character in a string must be escaped")),
                _ => {}
            }
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok((text, is_escaped))
    }

    /// Reads a string. One without escapes is a part of the text, the other is in the buffer.
    #[inline(never)]
    fn string<'a>(&mut self, buffer: &'a mut Vec<u8>) -> Result<Text<'de, 'a>> {
        let (text, is_escaped) = self.pass_string()?;
        let text = if is_escaped {
            unescape(text, buffer).and_then(|()| text_of(buffer)).map(Text::Copied)
        } else {
            text_of(text).map(Text::Borrowed)
        };
        self.back(text)
    }

    #[inline(never)]
    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while self.here().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    #[inline(never)]
    fn number(&mut self) -> Result<Number<'de>> {
        let start = self.at;
        let is_negative = self.here() == b'-';
        if is_negative {
            self.at += 1;
        }
        let first = self.at;
        if self.here() == b'0' {
            self.at += 1;
            if self.here().is_ascii_digit() {
                return Err(fault("a number must not begin with 0"));
            }
        } else {
            self.digits()?;
        }
        let mut integer = Some(0_u64);
        for digit in self.text.get(first..self.at).unwrap_or_default() {
            integer = integer.and_then(|all| all.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        }
        if self.here() == b'.' {
            self.at += 1;
            self.digits()?;
            integer = None;
        }
        if let b'e' | b'E' = self.here() {
            self.at += 1;
            if let b'+' | b'-' = self.here() {
                self.at += 1;
            }
            self.digits()?;
            integer = None;
        }
        match integer {
            Some(integer) if !is_negative => Ok(Number::Unsigned(integer)),
            // -0 is a float.
            Some(integer @ 1..=0x8000_0000_0000_0000) => Ok(Number::Negative(0_i64.wrapping_sub_unsigned(integer))),
            _ => text_of(self.text.get(start..self.at).unwrap_or_default()).map(Number::Other),
        }
    }

    /// Reads a number, if the value is a number.
    #[inline(never)]
    fn number_for(&mut self, expected: &dyn Expected) -> Result<Number<'de>> {
        match self.next() {
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.mismatch(expected)),
        }
    }

    /// Returns the error for a value of another type, which begins here.
    #[cold]
    #[inline(never)]
    fn mismatch(&mut self, expected: &dyn Expected) -> Fault {
        let start = self.at;
        let found = match self.next() {
            b'[' => Ok("sequence".into()),
            b'{' => Ok("map".into()),
            b'"' => self.pass_string().map(|(text, _)| quoted(text)),
            b'n' => self.word("null").map(|()| "null".into()),
            b't' => self.word("true").map(|()| "boolean `true`".into()),
            b'f' => self.word("false").map(|()| "boolean `false`".into()),
            b'-' | b'0'..=b'9' => match self.number() {
                Ok(number) => {
                    let is_float = matches!(number, Number::Other(_));
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    let kind = if is_float { "floating point `" } else { "integer `" };
                    Ok([kind, &escaped(text).into_text(), "`"].concat())
                }
                Err(fault) => Err(fault),
            },
            _ => Err(self.unexpected("a value")),
        };
        match found {
            Ok(found) => {
                self.at = start.max(self.at.saturating_sub(1));
                Fault::mismatch(&found, expected)
            }
            Err(fault) => fault,
        }
    }

    /// Skips a value of any depth that no field uses.
    #[inline(never)]
    fn ignore(&mut self) -> Result<()> {
        let mut open = Vec::new();
        loop {
            match self.next() {
                byte @ (b'[' | b'{') => {
                    self.at += 1;
                    // In ASCII, the closing bracket is two after the opening one.
                    let close = byte + 2;
                    if self.more(true, close)? {
                        open.push(close);
                        if close == b'}' {
                            self.pass_key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                b'"' => drop(self.pass_string()?),
                b'n' => self.word("null")?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                _ => return Err(self.unexpected("a value")),
            }
            // A value has ended, and perhaps those that it was the last of.
            loop {
                let Some(close) = open.last().copied() else { return Ok(()) };
                if self.more(false, close)? {
                    if close == b'}' {
                        self.pass_key()?;
                    }
                    break;
                }
                self.at += 1;
                open.pop();
            }
        }
    }

    fn pass_key(&mut self) -> Result<()> {
        self.pass_string()?;
        self.eat(b':', "`:`")
    }

    /// An error about a value that was read is at its last byte.
    #[inline]
    fn back<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.at -= 1;
        }
        result
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_seq(Access { reader: self, is_first: true })?;
        self.leave(b']')?;
        Ok(value)
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_map(Access { reader: self, is_first: true })?;
        self.leave(b'}')?;
        Ok(value)
    }

    /// A string; the visitor may borrow it from the text.
    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let mut buffer = Vec::new();
        let result = match self.string(&mut buffer)? {
            Text::Borrowed(text) => visitor.visit_borrowed_str(text),
            Text::Copied(text) => visitor.visit_str(text),
        };
        self.back(result)
    }

    /// Visits a string that is a name. It is never borrowed, which saves one copy of the visitor.
    fn visit_name<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if self.next() != b'"' {
            return Err(self.mismatch(&visitor));
        }
        let mut buffer = Vec::new();
        let (Text::Borrowed(text) | Text::Copied(text)) = self.string(&mut buffer)?;
        let result = visitor.visit_str(text);
        self.back(result)
    }

    fn visit_integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let number = self.number_for(&visitor)?;
        let result = match number {
            Number::Unsigned(number) => visitor.visit_u64(number),
            Number::Negative(number) => visitor.visit_i64(number),
            Number::Other(text) => Err(Fault::mismatch(&["floating point `", text, "`"].concat(), &visitor)),
        };
        self.back(result)
    }

    fn visit_float<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let number = self.number_for(&visitor)?;
        let result = match number {
            Number::Unsigned(number) => visitor.visit_u64(number),
            Number::Negative(number) => visitor.visit_i64(number),
            Number::Other(text) => float(text).and_then(|number| visitor.visit_f64(number)),
        };
        self.back(result)
    }
}

enum Text<'de, 'a> {
    Borrowed(&'de str),
    Copied(&'a str),
}

#[cold]
#[inline(never)]
fn fault(text: &str) -> Fault {
    Fault::new(&[text])
}

const fn name(close: u8) -> &'static str {
    if close == b']' { "`]`" } else { "`}`" }
}

#[inline(never)]
fn text_of(bytes: &[u8]) -> Result<&str> {
    core::str::from_utf8(bytes).map_err(|_| fault("a string is not UTF-8"))
}

#[inline(never)]
fn float(text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(float),
        _ => Err(fault("number out of range")),
    }
}

/// Replaces the escapes of a string that has passed [`Reader::pass_string`].
#[inline(never)]
fn unescape(text: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            buffer.push(*byte);
            continue;
        }
        let Some((escape, after)) = rest.split_first() else { break };
        rest = after;
        let character = match escape {
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(&mut rest);
                let mut code = first;
                if let 0xd800..=0xdbff = first {
                    if let Some(mut after) = rest.strip_prefix(b"\\u") {
                        let second = unit(&mut after);
                        if let 0xdc00..=0xdfff = second {
                            code = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
                            rest = after;
                        }
                    }
                }
                char::from_u32(code).ok_or_else(|| fault("a lone surrogate in a string"))?
            }
            other => char::from(*other),
        };
        buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(())
}

/// Four hexadecimal digits.
fn unit(rest: &mut &[u8]) -> u32 {
    let (digits, after) = rest.split_at_checked(4).unwrap_or_default();
    *rest = after;
    digits.iter().fold(0, |all, digit| all << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next() {
            b'[' => self.array(visitor),
            b'{' => self.object(visitor),
            b'"' => self.visit_string(visitor),
            b'-' | b'0'..=b'9' => self.visit_float(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            _ => self.deserialize_unit(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let value = match self.next() {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => Err(self.mismatch(&visitor)),
        };
        visitor.visit_bool(value?)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_integer(visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.number_for(&visitor)?;
        let result = match number {
            Number::Unsigned(number) => visitor.visit_i128(number.into()),
            Number::Negative(number) => visitor.visit_i128(number.into()),
            Number::Other(text) => match text.parse() {
                Ok(number) => visitor.visit_i128(number),
                Err(_) => Err(fault("number out of range")),
            },
        };
        self.back(result)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.number_for(&visitor)?;
        let result = match number {
            Number::Unsigned(number) => visitor.visit_u128(number.into()),
            Number::Negative(_) => Err(fault("number out of range")),
            Number::Other(text) => match text.parse() {
                Ok(number) => visitor.visit_u128(number),
                Err(_) => Err(fault("number out of range")),
            },
        };
        self.back(result)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_float(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next() == b'"' { self.visit_string(visitor) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_name(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next() {
            b'"' => {
                let (bytes, is_escaped) = self.pass_string()?;
                if !is_escaped {
                    return visitor.visit_borrowed_bytes(bytes);
                }
                let mut buffer = Vec::new();
                unescape(bytes, &mut buffer)?;
                visitor.visit_bytes(&buffer)
            }
            b'[' => self.array(visitor),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next() == b'n' {
            self.word("null")?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next() != b'n' {
            return Err(self.mismatch(&visitor));
        }
        self.word("null")?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next() == b'[' { self.array(visitor) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next() == b'{' { self.object(visitor) } else { Err(self.mismatch(&visitor)) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.next() {
            b'[' => self.array(visitor),
            b'{' => self.object(visitor),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.next() {
            b'"' => visitor.visit_enum(Variant { reader: self, has_value: false }),
            b'{' => {
                self.enter()?;
                if self.next() != b'"' {
                    return Err(self.unexpected("a key, which must be a string"));
                }
                let value = visitor.visit_enum(Variant { reader: self, has_value: true })?;
                self.leave(b'}')?;
                Ok(value)
            }
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.visit_name(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.ignore()?;
        visitor.visit_unit()
    }
}

/// The values of an array, and the keys and values of an object.
struct Access<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
}

impl<'de> SeqAccess<'de> for Access<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.reader.more(core::mem::take(&mut self.is_first), b']')? {
            return Ok(None);
        }
        let start = self.reader.at;
        let element = seed.deserialize(&mut *self.reader);
        if element.is_err() {
            self.reader.refuse_element(start);
        }
        element.map(Some)
    }
}

impl<'de> MapAccess<'de> for Access<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.reader.more(core::mem::take(&mut self.is_first), b'}')? {
            return Ok(None);
        }
        seed.deserialize(Key(&mut *self.reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.reader.eat(b':', "`:`")?;
        seed.deserialize(&mut *self.reader)
    }
}

/// The key of an object. Values that are not strings elsewhere are quoted in a key.
struct Key<'a, 'de>(&'a mut Reader<'de>);

impl<'de> Key<'_, 'de> {
    /// Reads the text between the quotes as a separate value.
    fn unquoted<T>(self, read: impl FnOnce(&mut Reader<'de>) -> Result<T>) -> Result<T> {
        self.0.at += 1;
        let byte = self.0.here();
        if !matches!(byte, b'-' | b'0'..=b'9' | b't' | b'f') {
            self.0.at -= 1;
            return Err(fault("invalid key: expected a number or boolean in quotes"));
        }
        let value = read(self.0)?;
        if self.0.here() != b'"' {
            return Err(fault("invalid key: expected a quote"));
        }
        self.0.at += 1;
        Ok(value)
    }
}

macro_rules! in_quotes {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.unquoted(|reader| reader.$method(visitor))
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.visit_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.visit_name(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.pass_string()?;
        visitor.visit_unit()
    }

    in_quotes! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.deserialize_bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.deserialize_bytes(visitor)
    }

    serde::forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct
    }
}

/// The variant of an enum: its name in quotes, or an object with the name and the value.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
    has_value: bool,
}

impl Variant<'_, '_> {
    #[inline(never)]
    fn check_value(&self, expected: &dyn Expected) -> Result<()> {
        if self.has_value { Ok(()) } else { Err(Fault::invalid_type(Unexpected::UnitVariant, expected)) }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self)> {
        let variant = seed.deserialize(&mut *self.reader)?;
        if self.has_value {
            self.reader.eat(b':', "`:`")?;
        }
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<()> {
        if !self.has_value {
            return Ok(());
        }
        match self.reader.next() {
            b'n' => self.reader.word("null"),
            _ => Err(self.reader.mismatch(&"unit")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.check_value(&"newtype variant")?;
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value> {
        self.check_value(&"tuple variant")?;
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.check_value(&"struct variant")?;
        self.reader.deserialize_struct("", fields, visitor)
    }
}
