//! Metadata as a type of the filter's own, through serde.

use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::host::metadata::value::{Struct, Value};
use crate::host::stack;
use serde::de::value::{Error as Wrong, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

impl Struct {
    /// The keys and values as a type of the filter's own.
    ///
    /// A number without a fraction is read as an integer too.
    ///
    /// # Errors
    /// Fails with [`Configuration`](ErrorKind::Configuration) and the path of the field that does
    /// not match the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_path_to_error::deserialize(Reader(self)).map_err(|error| {
            let path = error.path().to_string();
            let message = match path.as_str() {
                "." => format!("metadata: {}", error.inner()),
                path => format!("metadata: {path}: {}", error.inner()),
            };
            Error::message(ErrorKind::Configuration, message)
        })
    }
}

/// A struct where serde expects something to read from.
struct Reader<'a>(&'a Struct);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(MapDeserializer::new(self.0.fields.iter().map(|(key, value)| (Text(key), value))))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Text, unless it is not UTF-8.
struct Text<'a>(&'a [u8]);

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match core::str::from_utf8(self.0) {
            Ok(text) => visitor.visit_str(text),
            Err(_) => visitor.visit_bytes(self.0),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        core::str::from_utf8(self.0).unwrap_or_default().into_deserializer().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_> for Text<'_> {
    type Deserializer = Self;

    #[inline]
    fn into_deserializer(self) -> Self {
        self
    }
}

impl IntoDeserializer<'_> for &Value {
    type Deserializer = Self;

    #[inline]
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &Value {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        stack::check().map_err(Wrong::custom)?;
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Number(number) => match integer(*number) {
                Some(number) => visitor.visit_i64(number),
                None => visitor.visit_f64(*number),
            },
            Value::String(text) => Text(text).deserialize_any(visitor),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            Value::Struct(fields) => Reader(fields).deserialize_any(visitor),
            Value::List(values) => visitor.visit_seq(SeqDeserializer::new(values.iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        stack::check().map_err(Wrong::custom)?;
        match self {
            Value::String(text) => Text(text).deserialize_enum(name, variants, visitor),
            Value::Struct(fields) => {
                let access = MapDeserializer::new(fields.fields.iter().map(|(key, value)| (Text(key), value)));
                visitor.visit_enum(serde::de::value::MapAccessDeserializer::new(access))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Returns the number as an integer, if it is an integer that floating-point numbers represent
/// exactly.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
#[inline]
fn integer(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.abs() <= EXACT && number % 1.0 == 0.0).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Open,
        Limited(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct All {
        number: u16,
        ratio: f64,
        text: String,
        flag: bool,
        nothing: Option<u8>,
        modes: Vec<Mode>,
        nested: BTreeMap<String, i8>,
    }

    fn fields(fields: &[(&str, Value)]) -> Struct {
        let mut fields: Vec<_> = fields.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        fields.sort_by(|(a, _): &(crate::fields::header_value::HeaderValue, _), (b, _)| a.cmp(b));
        Struct { fields }
    }

    fn all() -> Vec<(&'static str, Value)> {
        vec![
            ("number", Value::Number(42.0)),
            ("ratio", Value::Number(2.0)),
            ("text", Value::String("t".into())),
            ("flag", Value::Boolean(true)),
            ("nothing", Value::Null),
            (
                "modes",
                Value::List(vec![
                    Value::String("open".into()),
                    Value::Struct(fields(&[("limited", Value::Number(3.0))])),
                ]),
            ),
            ("nested", Value::Struct(fields(&[("a", Value::Number(-1.0))]))),
        ]
    }

    #[test]
    fn a_type_is_read_with_every_kind_of_field() {
        assert_eq!(
            fields(&all()).json::<All>().unwrap(),
            All {
                number: 42,
                ratio: 2.0,
                text: "t".into(),
                flag: true,
                nothing: None,
                modes: vec![Mode::Open, Mode::Limited(3)],
                nested: [("a".into(), -1)].into(),
            }
        );
    }

    #[test]
    fn the_error_names_the_path_of_a_value_that_does_not_fit() {
        for (key, value, message) in [
            ("number", Value::Number(1.5), "metadata: number: invalid type: floating point `1.5`, expected u16"),
            ("number", Value::Number(70_000.0), "metadata: number: invalid value: integer `70000`, expected u16"),
            (
                "nested",
                Value::Struct(fields(&[("a", Value::Null)])),
                "metadata: nested.a: invalid type: unit value, expected i8",
            ),
            ("text", Value::String(vec![0xff].into()), "metadata: text: invalid value: byte array, expected a string"),
        ] {
            let mut all = all();
            all.retain(|(found, _)| *found != key);
            all.push((key, value));
            let error = fields(&all).json::<All>().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, message));
        }
        assert!(fields(&[]).json::<All>().unwrap_err().to_string().contains("missing field"));
    }
}
