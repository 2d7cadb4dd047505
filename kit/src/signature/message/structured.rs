//! Structured fields (RFC 9651): dictionaries, read and written in their canonical form.

use base64ct::{Base64, Encoding};

/// The maximum number of members, items and parameters in one field.
const MAX_PARTS: usize = 256;

/// A value without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    /// An integer or a date.
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    Boolean(bool),
    /// A value of another type, in its canonical form.
    Other(String),
}

pub(super) type Parameters = Vec<(String, Bare)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) value: Bare,
    pub(super) parameters: Parameters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    List(Vec<Item>, Parameters),
}

impl Bare {
    fn write(&self, text: &mut String) {
        match self {
            Self::Integer(number) => text.push_str(&number.to_string()),
            Self::Text(value) => {
                text.push('"');
                for character in value.chars() {
                    if matches!(character, '"' | '\\') {
                        text.push('\\');
                    }
                    text.push(character);
                }
                text.push('"');
            }
            Self::Bytes(bytes) => text.extend([":", &Base64::encode_string(bytes), ":"]),
            Self::Boolean(value) => text.push_str(if *value { "?1" } else { "?0" }),
            Self::Other(value) => text.push_str(value),
        }
    }
}

/// Appends parameters in their canonical form.
pub(super) fn write_parameters(parameters: &Parameters, text: &mut String) {
    for (name, value) in parameters {
        text.push(';');
        text.push_str(name);
        if *value != Bare::Boolean(true) {
            text.push('=');
            value.write(text);
        }
    }
}

impl Item {
    pub(super) fn write(&self, text: &mut String) {
        self.value.write(text);
        write_parameters(&self.parameters, text);
    }
}

impl Member {
    /// Returns the member in its canonical form.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Item(item) => item.write(&mut text),
            Self::List(items, parameters) => {
                text.push('(');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(' ');
                    }
                    item.write(&mut text);
                }
                text.push(')');
                write_parameters(parameters, &mut text);
            }
        }
        text
    }
}

/// Parses a dictionary. Of members of the same name, the last one is used.
pub(super) fn dictionary(field: &[u8]) -> Option<Vec<(String, Member)>> {
    let mut reader = Reader { rest: field.trim_ascii(), parts: 0 };
    let mut members: Vec<(String, Member)> = Vec::new();
    while !reader.rest.is_empty() {
        let name = reader.key()?;
        let member =
            if reader.take(b'=') { reader.member()? } else { Member::Item(reader.parameters_of(Bare::Boolean(true))?) };
        members.retain(|(found, _)| *found != name);
        members.push((name, member));
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            break;
        }
        let ends_with_comma = reader.take(b',').then(|| reader.skip(b" \t"))? == 0 && reader.rest.is_empty();
        if ends_with_comma || reader.rest.is_empty() {
            return None;
        }
    }
    Some(members)
}

struct Reader<'a> {
    rest: &'a [u8],
    parts: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, byte: u8) -> bool {
        let after = self.rest.split_first().filter(|(first, _)| **first == byte).map(|(_, rest)| rest);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Skips bytes, and returns their number.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        self.while_in(|byte| bytes.contains(&byte)).len()
    }

    fn while_in(&mut self, is_in: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !is_in(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, b""));
        self.rest = rest;
        taken
    }

    fn count(&mut self) -> Option<()> {
        self.parts = self.parts.saturating_add(1);
        (self.parts <= MAX_PARTS).then_some(())
    }

    fn key(&mut self) -> Option<String> {
        self.count()?;
        let starts = self.rest.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'*');
        let key = self.while_in(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
        starts.then(|| text(key))?
    }

    fn member(&mut self) -> Option<Member> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            let spaces = self.skip(b" ");
            if self.take(b')') {
                return Some(Member::List(items, self.parameters()?));
            }
            if spaces == 0 && !items.is_empty() {
                return None;
            }
            items.push(self.item()?);
        }
    }

    fn item(&mut self) -> Option<Item> {
        self.count()?;
        let value = self.bare()?;
        self.parameters_of(value)
    }

    fn parameters_of(&mut self, value: Bare) -> Option<Item> {
        Some(Item { value, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Option<Parameters> {
        let mut parameters = Parameters::new();
        while self.take(b';') {
            self.skip(b" ");
            let name = self.key()?;
            let value = if self.take(b'=') { self.bare()? } else { Bare::Boolean(true) };
            parameters.retain(|(found, _)| *found != name);
            parameters.push((name, value));
        }
        Some(parameters)
    }

    fn bare(&mut self) -> Option<Bare> {
        match self.rest.first()? {
            b'"' => self.string().map(Bare::Text),
            b':' => {
                self.take(b':');
                let encoded = self.while_in(|byte| byte != b':');
                self.take(b':').then_some(())?;
                Base64::decode_vec(core::str::from_utf8(encoded).ok()?).ok().map(Bare::Bytes)
            }
            b'?' => {
                self.take(b'?');
                let value = self.take(b'1');
                (value || self.take(b'0')).then_some(Bare::Boolean(value))
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' | b'*' => {
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                text(self.while_in(is_token)).map(Bare::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let is_negative = self.take(b'-');
        let whole = self.while_in(|byte| byte.is_ascii_digit());
        let fraction = if self.take(b'.') { Some(self.while_in(|byte| byte.is_ascii_digit())) } else { None };
        let number: i64 = text(whole)?.parse().ok()?;
        let number = if is_negative { number.checked_neg()? } else { number };
        match fraction {
            None => (whole.len() <= 15).then_some(Bare::Integer(number)),
            Some(digits) if (1..=3).contains(&digits.len()) && whole.len() <= 12 => {
                let digits = text(digits)?;
                let shown = digits.trim_end_matches('0');
                let sign = if is_negative && number == 0 { "-" } else { "" };
                Some(Bare::Other(format!("{sign}{number}.{}", if shown.is_empty() { "0" } else { shown })))
            }
            Some(_) => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"');
        let mut value = String::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let byte = match byte {
                b'"' => return Some(value),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    Some(escaped).filter(|byte| matches!(byte, b'"' | b'\\'))?
                }
                byte => Some(byte).filter(|byte| matches!(byte, 0x20..=0x7e))?,
            };
            value.push(char::from(*byte));
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    core::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(field: &str) -> Option<String> {
        let members = dictionary(field.as_bytes())?;
        let members: Vec<String> =
            members.iter().map(|(name, member)| format!("{name}={}", member.to_text())).collect();
        Some(members.join(", "))
    }

    /// Examples of RFC 9651, sections 3.1.2, 3.2 and 3.3, and their canonical forms.
    #[test]
    fn dictionaries_are_read_and_written_in_canonical_form() {
        for (field, expected) in [
            ("", Some("")),
            ("en=\"Applepie\", da=:w4ZibGV0w6ZydGU=:", Some("en=\"Applepie\", da=:w4ZibGV0w6ZydGU=:")),
            ("a=?0, b, c; foo=bar", Some("a=?0, b=?1, c=?1;foo=bar")),
            ("rating=1.5, feelings=(joy sadness)", Some("rating=1.5, feelings=(joy sadness)")),
            ("a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid", Some("a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid")),
            ("a=1 ,\t b=2", Some("a=1, b=2")),
            ("a=1,b=2,a=3", Some("b=2, a=3")),
            ("a=(  \"x\"   y;z=?1 )", Some("a=(\"x\" y;z)")),
            ("a=-0.50, b=007, c=1.0, d=-0", Some("a=-0.5, b=7, c=1.0, d=0")),
            ("a=\"q\\\"\\\\\"", Some("a=\"q\\\"\\\\\"")),
            ("a=1,", None),
            ("a=1, ", None),
            (",a=1", None),
            ("a=1 b=2", None),
            ("A=1", None),
            ("a=", None),
            ("a=(1", None),
            ("a=(1\"x\")", None),
            ("a=\"x", None),
            ("a=\"\\x\"", None),
            ("a=\"\u{e9}\"", None),
            ("a=:x", None),
            ("a=:?:", None),
            ("a=1.", None),
            ("a=1.2345", None),
            ("a=1234567890123456", None),
            ("a=-", None),
            ("a=?2", None),
            ("a;=1", None),
        ] {
            assert_eq!(written(field).as_deref(), expected, "{field}");
            if let Some(expected) = expected {
                assert_eq!(written(expected).as_deref(), Some(expected), "the canonical form is stable");
            }
        }
    }

    #[test]
    fn the_number_of_parts_is_limited() {
        assert!(dictionary("a=(1 2)".as_bytes()).is_some());
        assert!(dictionary(format!("a=({})", "1 ".repeat(MAX_PARTS)).as_bytes()).is_none());
        assert!(dictionary(format!("a=1{}", ";b".repeat(MAX_PARTS)).as_bytes()).is_none());
    }
}
