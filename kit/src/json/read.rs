//! Events of a JSON text.

use core::fmt;

/// The maximum number of open objects and arrays.
const MAX_DEPTH: usize = 128;
/// The maximum length of a number.
const MAX_NUMBER: usize = 128;

/// A name or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Text<'a> {
    /// The text without escapes, up to the maximum of the reader.
    pub value: &'a str,
    /// Whether `value` is the whole text.
    pub is_whole: bool,
}

/// A value without members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// A number, as it is written.
    Number(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`.
    Null,
}

/// A part of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The beginning of an object.
    ObjectStart,
    /// The end of an object.
    ObjectEnd,
    /// The beginning of an array.
    ArrayStart,
    /// The end of an array.
    ArrayEnd,
    /// The name of a member.
    Name(Text<'a>),
    /// A value without members.
    Value(Value<'a>),
}

/// The fault of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON, or not UTF-8, or has a second value.
    Malformed,
    /// The text ends too early.
    Incomplete,
    /// More than 128 objects and arrays are open.
    TooDeep,
    /// A number has more than 128 characters.
    LongNumber,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the body is not JSON",
            Self::Incomplete => "the JSON body ends too early",
            Self::TooDeep => "the JSON body has too many levels",
            Self::LongNumber => "a number of the JSON body is too long",
        })
    }
}

impl std::error::Error for JsonError {}

/// Reads a JSON text chunk by chunk, and reports its events. The events do not depend on the
/// boundaries of chunks.
///
/// ```
/// use proxy_filter_kit::json::{Event, Reader, Value};
///
/// let mut reader = Reader::new(100);
/// let mut numbers = Vec::new();
/// let mut each = |event: Event<'_>| {
///     if let Event::Value(Value::Number(number)) = event {
///         numbers.push(number.to_owned());
///     }
/// };
/// reader.push(b"[1, 2", &mut each).unwrap();
/// reader.push(b"0, {\"a\": 3}]", &mut each).unwrap();
/// reader.finish(&mut each).unwrap();
/// assert_eq!(numbers, ["1", "20", "3"]);
/// ```
///
/// The names of an object may repeat. A surrogate without its other half becomes U+FFFD.
#[derive(Clone, Debug)]
pub struct Reader {
    max_text: usize,
    state: State,
    /// The open objects (`true`) and arrays.
    open: Vec<bool>,
    /// The text or number so far.
    text: Vec<u8>,
    is_whole: bool,
    /// Bytes of a character that the previous chunk began.
    high: Option<u32>,
    failed: Option<JsonError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value. `true` after `[`, where the array may also end.
    Value(bool),
    /// A name. `true` after `{`, where the object may also end.
    Name(bool),
    Colon,
    /// A comma, or the end of the object or array.
    Next,
    /// A string. `true` for a name.
    Text(bool),
    Escape(bool),
    /// Four hexadecimal digits: how many are read, and their value.
    Unicode(bool, u8, u32),
    Number,
    /// `true`, `false` or `null`: the rest of the word.
    Word(&'static [u8], Option<bool>),
    End,
}

impl Reader {
    /// Creates a reader that reports at most this number of bytes of a name or text.
    pub const fn new(max_text: usize) -> Self {
        Self {
            max_text,
            state: State::Value(false),
            open: Vec::new(),
            text: Vec::new(),
            is_whole: true,
            high: None,
            failed: None,
        }
    }

    /// Reads a chunk, and calls the closure for each event that it completes.
    ///
    /// # Errors
    /// Fails if the text is malformed. All later calls fail with the same error.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), JsonError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let result = self.read(chunk, &mut each);
        self.failed = result.err();
        result
    }

    /// Ends the text. A number is complete only here if nothing follows it.
    ///
    /// # Errors
    /// Fails if the text ends too early, or was malformed.
    pub fn finish(&mut self, mut each: impl FnMut(Event<'_>)) -> Result<(), JsonError> {
        if self.state == State::Number && self.open.is_empty() {
            // White space completes the number.
            self.push(b" ", &mut each)?;
        }
        match (self.failed, self.state) {
            (Some(failed), _) => Err(failed),
            (None, State::End) => Ok(()),
            (None, _) => Err(JsonError::Incomplete),
        }
    }

    fn read(&mut self, chunk: &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<(), JsonError> {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if let State::Text(is_name) = self.state {
                rest = self.in_text(rest, is_name, each)?;
                continue;
            }
            if self.state == State::Number {
                if matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
                    if self.text.len() >= MAX_NUMBER {
                        return Err(JsonError::LongNumber);
                    }
                    self.text.push(*byte);
                    rest = after;
                    continue;
                }
                let number = core::str::from_utf8(&self.text).map_err(|_| JsonError::Malformed)?;
                if !is_number(&self.text) {
                    return Err(JsonError::Malformed);
                }
                each(Event::Value(Value::Number(number)));
                self.text.clear();
                self.value_ended();
                continue;
            }
            rest = after;
            self.one(*byte, each)?;
        }
        Ok(())
    }

    /// Reads one byte outside of texts and numbers.
    fn one(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>)) -> Result<(), JsonError> {
        match (self.state, byte) {
            (State::Escape(is_name), byte) => {
                let character = match byte {
                    b'"' | b'\\' | b'/' => char::from(byte),
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    b'u' => {
                        self.state = State::Unicode(is_name, 0, 0);
                        return Ok(());
                    }
                    _ => return Err(JsonError::Malformed),
                };
                self.lone_surrogate();
                self.store(character);
                self.state = State::Text(is_name);
            }
            (State::Unicode(is_name, count, value), byte) => {
                let digit = char::from(byte).to_digit(16).ok_or(JsonError::Malformed)?;
                let value = value << 4 | digit;
                self.state = if count == 3 {
                    self.unit(value);
                    State::Text(is_name)
                } else {
                    State::Unicode(is_name, count.saturating_add(1), value)
                };
            }
            (State::Word(rest, value), byte) => match rest.split_first() {
                Some((first, [])) if *first == byte => {
                    each(Event::Value(value.map_or(Value::Null, Value::Boolean)));
                    self.value_ended();
                }
                Some((first, rest)) if *first == byte => self.state = State::Word(rest, value),
                _ => return Err(JsonError::Malformed),
            },
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (State::Value(_), b'"') => self.state = State::Text(false),
            (State::Name(_), b'"') => self.state = State::Text(true),
            (State::Value(_), b'{') => {
                self.begin(true)?;
                each(Event::ObjectStart);
            }
            (State::Value(_), b'[') => {
                self.begin(false)?;
                each(Event::ArrayStart);
            }
            (State::Value(_), b't') => self.state = State::Word(b"rue", Some(true)),
            (State::Value(_), b'f') => self.state = State::Word(b"alse", Some(false)),
            (State::Value(_), b'n') => self.state = State::Word(b"ull", None),
            (State::Value(_), b'-' | b'0'..=b'9') => {
                self.text.push(byte);
                self.state = State::Number;
            }
            (State::Colon, b':') => self.state = State::Value(false),
            (State::Next, b',') => {
                self.state = if self.open.last() == Some(&true) { State::Name(false) } else { State::Value(false) };
            }
            (State::Name(true) | State::Next, b'}') if self.open.last() == Some(&true) => {
                self.open.pop();
                each(Event::ObjectEnd);
                self.value_ended();
            }
            (State::Value(true) | State::Next, b']') if self.open.last() == Some(&false) => {
                self.open.pop();
                each(Event::ArrayEnd);
                self.value_ended();
            }
            _ => return Err(JsonError::Malformed),
        }
        Ok(())
    }

    fn begin(&mut self, is_object: bool) -> Result<(), JsonError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.open.push(is_object);
        self.state = if is_object { State::Name(true) } else { State::Value(true) };
        Ok(())
    }

    fn value_ended(&mut self) {
        self.state = if self.open.is_empty() { State::End } else { State::Next };
    }

    /// Reads bytes of a text up to its end or an escape, and returns the rest.
    fn in_text<'c>(
        &mut self,
        rest: &'c [u8],
        is_name: bool,
        each: &mut impl FnMut(Event<'_>),
    ) -> Result<&'c [u8], JsonError> {
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        let (plain, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        if !plain.is_empty() {
            self.lone_surrogate();
            let room = if self.is_whole { self.max_text.saturating_sub(self.text.len()) } else { 0 };
            self.is_whole &= plain.len() <= room;
            self.text.extend_from_slice(plain.get(..room).unwrap_or(plain));
        }
        let Some((byte, after)) = after.split_first() else { return Ok(b"") };
        match byte {
            b'\\' => self.state = State::Escape(is_name),
            b'"' => {
                self.lone_surrogate();
                self.text_ended(is_name, each)?;
            }
            _ => return Err(JsonError::Malformed),
        }
        Ok(after)
    }

    fn text_ended(&mut self, is_name: bool, each: &mut impl FnMut(Event<'_>)) -> Result<(), JsonError> {
        let value = match core::str::from_utf8(&self.text) {
            Ok(text) => text,
            // A text that is not whole may end within a character.
            Err(error) if error.error_len().is_none() && !self.is_whole => {
                let valid = self.text.get(..error.valid_up_to()).unwrap_or_default();
                core::str::from_utf8(valid).map_err(|_| JsonError::Malformed)?
            }
            Err(_) => return Err(JsonError::Malformed),
        };
        let text = Text { value, is_whole: self.is_whole };
        each(if is_name { Event::Name(text) } else { Event::Value(Value::Text(text)) });
        self.text.clear();
        self.is_whole = true;
        if is_name {
            self.state = State::Colon;
        } else {
            self.value_ended();
        }
        Ok(())
    }

    /// Stores a code unit of UTF-16.
    fn unit(&mut self, unit: u32) {
        match (self.high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.high = None;
                let value = 0x1_0000 + ((high & 0x3ff) << 10 | unit & 0x3ff);
                self.store(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, 0xd800..=0xdbff) => {
                self.lone_surrogate();
                self.high = Some(unit);
            }
            (_, unit) => {
                self.lone_surrogate();
                self.store(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
    }

    fn lone_surrogate(&mut self) {
        if self.high.take().is_some() {
            self.store(char::REPLACEMENT_CHARACTER);
        }
    }

    fn store(&mut self, character: char) {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        self.is_whole &= self.text.len().saturating_add(bytes.len()) <= self.max_text;
        if self.is_whole {
            self.text.extend_from_slice(bytes);
        }
    }
}

/// Whether a text has the grammar of a number.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || whole > 1 && text.starts_with(b"0") {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        rest = fraction.get(count..).filter(|_| count > 0).unwrap_or(b"x");
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    /// Returns the events as JSON again, to compare them with another reader.
    fn rewrite(chunks: &[&[u8]], max: usize) -> Result<String, JsonError> {
        let mut reader = Reader::new(max);
        let mut written = String::new();
        let mut is_first = true;
        let mut each = |event: Event<'_>| {
            let separator = if is_first { "" } else { "," };
            match event {
                Event::ObjectEnd => written.push('}'),
                Event::ArrayEnd => written.push(']'),
                Event::ObjectStart => written.extend([separator, "{"]),
                Event::ArrayStart => written.extend([separator, "["]),
                Event::Name(name) => written.extend([separator, &serde_json::Value::from(name.value).to_string(), ":"]),
                Event::Value(value) => {
                    written.push_str(separator);
                    written.push_str(&match value {
                        Value::Text(text) => {
                            assert!(text.value.len() <= max);
                            serde_json::Value::from(text.value).to_string()
                        }
                        Value::Number(number) => number.to_owned(),
                        Value::Boolean(value) => value.to_string(),
                        Value::Null => "null".to_owned(),
                    });
                }
            }
            is_first = matches!(event, Event::ObjectStart | Event::ArrayStart | Event::Name(_));
        };
        for chunk in chunks {
            reader.push(chunk, &mut each)?;
        }
        reader.finish(&mut each)?;
        assert!(reader.text.capacity() <= max.max(MAX_NUMBER) * 4 + 64);
        Ok(written)
    }

    /// Cases of the parsing test suite of nst/JSONTestSuite, and others.
    const VALID: [&str; 24] = [
        "[]",
        "{}",
        " [ ] ",
        "0",
        "-0",
        "1e5",
        "-0.5E+10",
        "\"\"",
        "null",
        "true",
        "[false,1]",
        "{\"\":0}",
        "{\"a\":{},\"a\":[[]]}",
        "[\"\\u0060\\u012a\\u12AB\"]",
        "[\"\\uD801\\udc37\"]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        "[\"\u{e9}\u{20ac}\u{1f600}\"]",
        "[123.456e78]",
        "[\"a/*b*/c/*d//e\"]",
        "\t\n\r 1 \n",
        "[\"\\u0000\"]",
        "[-1]",
        "[1,null,1,null,2]",
        "{\"min\":-1.0e+28,\"max\":1.0e+28}",
    ];
    const INVALID: [&str; 42] = [
        "[1 true]",
        "[\"\": 1]",
        "[\"\"],",
        "[,1]",
        "[1,,2]",
        "[\"x\"]]",
        "[\"\",]",
        "[3[4]]",
        "[1:2]",
        "[,]",
        "[-]",
        "[+1]",
        "[01]",
        "[1.]",
        "[.1]",
        "[1e]",
        "[1e+]",
        "[0x1]",
        "[1+2]",
        "[Inf]",
        "[nul]",
        "[nulls]",
        "[True]",
        "{\"a\" b}",
        "{:1}",
        "{1:1}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{'a':0}",
        "{\"a\"}",
        "[\"\\x00\"]",
        "[\"\\u00A\"]",
        "[\"\\u00G0\"]",
        "[\"a\nb\"]",
        "[\"\t\"]",
        "{}}",
        "[]]",
        "1 2",
        "[\"\\",
        "\u{feff}[]",
        "*",
        "]",
    ];

    #[test]
    fn valid_texts_give_the_same_events_wherever_they_are_cut() {
        for text in VALID {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            for cut in cuts(text.as_bytes()) {
                let written = rewrite(&cut, 1000).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), expected, "{cut:?}");
            }
        }
    }

    #[test]
    fn invalid_and_incomplete_texts_are_refused_wherever_they_are_cut() {
        for text in
            INVALID.iter().copied().chain(["", " ", "[", "{", "[1", "{\"a\"", "{\"a\":", "\"a", "tru", "[\"\\u00"])
        {
            for cut in cuts(text.as_bytes()) {
                assert!(rewrite(&cut, 1000).is_err(), "{cut:?}");
            }
        }
        for bytes in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\xff", b"{\"\x80\":1}"] {
            assert_eq!(rewrite(&[bytes], 1000), Err(JsonError::Malformed));
        }
    }

    #[test]
    fn random_texts_are_accepted_exactly_if_serde_json_accepts_them() {
        let mut generator = Generator::new(11);
        let parts = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\\n\"",
            "1",
            "-0.5",
            "e3",
            " ",
            "true",
            "null",
            "\"\\u00e9\"",
            "\\",
            "\"",
        ];
        let mut valid = 0;
        for _ in 0..60_000 {
            let length = 1 + generator.below(8);
            let text: String = (0..length).map(|_| generator.pick(&parts)).collect();
            let expected = serde_json::from_str::<serde_json::Value>(&text);
            let written = rewrite(&[text.as_bytes()], 1000);
            assert_eq!(written.is_ok(), expected.is_ok(), "{text}");
            valid += usize::from(written.is_ok());
        }
        assert!(valid > 500, "{valid}");
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (text, expected) in [
            ("\"\\ud800\"", "\u{fffd}"),
            ("\"\\udc00x\"", "\u{fffd}x"),
            ("\"\\ud800\\ud800\\udc00\"", "\u{fffd}\u{10000}"),
            ("\"\\ud800\\n\"", "\u{fffd}\n"),
            ("\"\\ud800y\\ud83d\\ude00\"", "\u{fffd}y\u{1f600}"),
        ] {
            for cut in cuts(text.as_bytes()) {
                assert_eq!(rewrite(&cut, 100), Ok(serde_json::Value::from(expected).to_string()));
            }
        }
    }

    #[test]
    fn a_long_text_is_reported_up_to_the_maximum() {
        let text =
            format!("[\"{}\", \"\u{e9}\u{e9}\u{e9}\", \"\\u00e9\\u00e9\\u00e9\", \"12345\", 1]", "x".repeat(10_000));
        for size in [1, 3, 100, 20_000] {
            let mut reader = Reader::new(5);
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                reader
                    .push(chunk, |event| {
                        if let Event::Value(Value::Text(text)) = event {
                            found.push((text.value.to_owned(), text.is_whole));
                        }
                    })
                    .unwrap();
                assert!(reader.text.len() <= 5);
            }
            let expected = [("xxxxx", false), ("\u{e9}\u{e9}", false), ("\u{e9}\u{e9}", false), ("12345", true)];
            assert_eq!(found, expected.map(|(text, is_whole)| (text.to_owned(), is_whole)));
        }
    }

    #[test]
    fn depth_and_numbers_are_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(rewrite(&[nested(MAX_DEPTH).as_bytes()], 9).is_ok());
        assert_eq!(rewrite(&[nested(MAX_DEPTH + 1).as_bytes()], 9), Err(JsonError::TooDeep));
        assert!(rewrite(&["1".repeat(MAX_NUMBER).as_bytes()], 9).is_ok());
        assert_eq!(rewrite(&["1".repeat(MAX_NUMBER + 1).as_bytes()], 9), Err(JsonError::LongNumber));
    }

    #[test]
    fn a_failed_reader_stays_failed() {
        let mut reader = Reader::new(9);
        assert_eq!(reader.push(b"]", |_| {}), Err(JsonError::Malformed));
        assert_eq!(reader.push(b"1", |_| {}), Err(JsonError::Malformed));
        assert_eq!(reader.finish(|_| {}), Err(JsonError::Malformed));
    }
}
