//! Why a text is not the JSON that a type expects.

use crate::log::escaped::escaped;
use core::fmt;
use core::fmt::Write as _;
use serde::de::{Error, Expected, Unexpected};

/// The message of an error. The reader's position is its place. A single pointer, so that results
/// stay in registers.
#[derive(Debug)]
#[allow(clippy::box_collection, reason = "a string is three words, and this is in every result")]
pub(crate) struct Fault(Box<String>);

impl Fault {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(parts: &[&str]) -> Self {
        Self(Box::new(parts.concat()))
    }

    #[cold]
    #[inline(never)]
    fn of(what: &str, unexpected: &str, expected: &dyn Expected) -> Self {
        let mut fault = Self::new(&[what, unexpected, ", expected "]);
        // Writing to a string does not fail.
        let _ = write!(fault.0, "{expected}");
        fault
    }

    /// A value of another type than the expected one, which is described already.
    pub(crate) fn mismatch(unexpected: &str, expected: &dyn Expected) -> Self {
        Self::of("invalid type: ", unexpected, expected)
    }

    pub(crate) fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Fault {}

// The provided methods format, which brings tables to print floats and to escape characters.
impl Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        let mut fault = Self::new(&[]);
        let _ = write!(fault.0, "{message}");
        fault
    }

    #[cold]
    #[inline(never)]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(&describe(unexpected), expected)
    }

    #[cold]
    #[inline(never)]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of("invalid value: ", &describe(unexpected), expected)
    }

    #[cold]
    #[inline(never)]
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::of("invalid length ", &decimal(length as u64, false), expected)
    }

    #[cold]
    #[inline(never)]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        unknown("unknown variant `", variant, expected, "variants")
    }

    #[cold]
    #[inline(never)]
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown("unknown field `", field, expected, "fields")
    }

    #[cold]
    #[inline(never)]
    fn missing_field(field: &'static str) -> Self {
        Self::new(&["missing field `", field, "`"])
    }

    #[cold]
    #[inline(never)]
    fn duplicate_field(field: &'static str) -> Self {
        Self::new(&["duplicate field `", field, "`"])
    }
}

#[cold]
#[inline(never)]
fn unknown(what: &str, name: &str, expected: &[&str], plural: &str) -> Fault {
    let name = escaped(name).into_text();
    let mut fault = Fault::new(&[what, &name, "`, "]);
    let text = &mut *fault.0;
    let last = expected.len().saturating_sub(1);
    for (at, known) in expected.iter().enumerate() {
        text.push_str(match at {
            0 if last > 1 => "expected one of `",
            0 => "expected `",
            1 if last == 1 => " or `",
            _ => ", `",
        });
        text.push_str(known);
        text.push('`');
    }
    if expected.is_empty() {
        text.push_str("there are no ");
        text.push_str(plural);
    }
    fault
}

/// Describes the value that was found, in serde's words.
#[cold]
#[inline(never)]
fn describe(unexpected: Unexpected<'_>) -> String {
    let (kind, text) = match unexpected {
        Unexpected::Bool(true) => ("boolean `", "true".into()),
        Unexpected::Bool(false) => ("boolean `", "false".into()),
        Unexpected::Unsigned(number) => ("integer `", decimal(number, false)),
        Unexpected::Signed(number) => ("integer `", decimal(number.unsigned_abs(), number < 0)),
        Unexpected::Str(text) => return quoted(text.as_bytes()),
        Unexpected::Char(character) => ("character `", escaped(character.encode_utf8(&mut [0; 4])).into_text()),
        // The text of the number is not available here, and formatting a float needs large tables.
        Unexpected::Float(_) => return "floating point number".into(),
        Unexpected::Bytes(_) => return "byte array".into(),
        Unexpected::Unit => return "null".into(),
        Unexpected::Option => return "Option value".into(),
        Unexpected::NewtypeStruct => return "newtype struct".into(),
        Unexpected::Seq => return "sequence".into(),
        Unexpected::Map => return "map".into(),
        Unexpected::Enum => return "enum".into(),
        Unexpected::UnitVariant => return "unit variant".into(),
        Unexpected::NewtypeVariant => return "newtype variant".into(),
        Unexpected::TupleVariant => return "tuple variant".into(),
        Unexpected::StructVariant => return "struct variant".into(),
        Unexpected::Other(other) => return other.into(),
    };
    [kind, &text, "`"].concat()
}

/// A string of the text, as a message names it.
#[cold]
#[inline(never)]
pub(crate) fn quoted(text: &[u8]) -> String {
    ["string \"", &escaped(text).into_text(), "\""].concat()
}

/// A number in decimal: what prints any number is larger.
#[cold]
#[inline(never)]
pub(crate) fn decimal(number: u64, is_negative: bool) -> String {
    let mut text = String::new();
    let mut unit = 1;
    while number / unit >= 10 {
        unit *= 10;
    }
    if is_negative {
        text.push('-');
    }
    while unit > 0 {
        text.push(char::from(b'0' + (number / unit % 10) as u8));
        unit /= 10;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Fault, decimal};
    use serde::de::{Error, Unexpected};

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(decimal(number, false), number.to_string());
            assert_eq!(decimal(number, true), format!("-{number}"));
        }
    }

    #[test]
    fn messages_have_the_words_of_serde() {
        type Plain = serde::de::value::Error;
        let expected: &[&[&'static str]] = &[&[], &["a"], &["a", "b"], &["a", "b", "c"]];
        for expected in expected {
            assert_eq!(Fault::unknown_field("x", expected).message(), Plain::unknown_field("x", expected).to_string());
            assert_eq!(
                Fault::unknown_variant("x", expected).message(),
                Plain::unknown_variant("x", expected).to_string()
            );
        }
        for unexpected in [
            Unexpected::Bool(true),
            Unexpected::Bool(false),
            Unexpected::Unsigned(7),
            Unexpected::Signed(-7),
            Unexpected::Signed(i64::MIN),
            Unexpected::Str("text"),
            Unexpected::Char('x'),
            Unexpected::Bytes(b"x"),
            Unexpected::Option,
            Unexpected::NewtypeStruct,
            Unexpected::Seq,
            Unexpected::Map,
            Unexpected::Enum,
            Unexpected::UnitVariant,
            Unexpected::NewtypeVariant,
            Unexpected::TupleVariant,
            Unexpected::StructVariant,
            Unexpected::Other("other"),
        ] {
            let ours = Fault::invalid_type(unexpected, &"u16");
            assert_eq!(ours.message(), Plain::invalid_type(unexpected, &"u16").to_string());
            let ours = Fault::invalid_value(unexpected, &"u16");
            assert_eq!(ours.message(), Plain::invalid_value(unexpected, &"u16").to_string());
        }
        assert_eq!(Fault::invalid_length(12, &"two").message(), Plain::invalid_length(12, &"two").to_string());
        assert_eq!(Fault::missing_field("a").message(), Plain::missing_field("a").to_string());
        assert_eq!(Fault::duplicate_field("a").message(), Plain::duplicate_field("a").to_string());
        assert_eq!(Fault::custom(format_args!("{}", 5)).message(), "5");
    }
}
