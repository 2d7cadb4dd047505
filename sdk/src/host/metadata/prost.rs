//! Metadata as the types of `prost-types`.

use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_value::HeaderValue;
use crate::host::metadata::value::{Struct, Value};
use crate::host::metadata::{Metadata, NodeMetadata};
use prost_types::value::Kind;

impl Metadata {
    /// The value of a key, as [`get`](Self::get), for code that works with `prost-types`. With the
    /// feature `prost-types`.
    ///
    /// ```
    /// # use proxy_filter::{Result, metadata};
    /// use prost_types::value::Kind;
    ///
    /// fn owner() -> Result<Option<String>> {
    ///     Ok(
    ///         match metadata::route()
    ///             .prost_value("com.example.limits", "owner")?
    ///             .and_then(|owner| owner.kind)
    ///         {
    ///             Some(Kind::StringValue(owner)) => Some(owner),
    ///             _ => None,
    ///         },
    ///     )
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails as [`get`](Self::get) does, and with [`Malformed`](ErrorKind::Malformed) for text that
    /// is not UTF-8, which `prost-types` cannot represent.
    #[inline]
    pub fn prost_value(self, namespace: &str, key: &str) -> Result<Option<prost_types::Value>> {
        self.get(namespace, key)?.map(TryInto::try_into).transpose()
    }

    /// Everything in a namespace, as [`namespace`](Self::namespace), for code that works with
    /// `prost-types`. With the feature `prost-types`.
    ///
    /// ```
    /// # use proxy_filter::{Result, metadata};
    /// fn limits() -> Result<prost_types::Struct> {
    ///     Ok(metadata::route().prost_struct("com.example.limits")?.unwrap_or_default())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`prost_value`](Self::prost_value).
    #[inline]
    pub fn prost_struct(self, namespace: &str) -> Result<Option<prost_types::Struct>> {
        self.namespace(namespace)?.map(TryInto::try_into).transpose()
    }
}

impl NodeMetadata {
    /// All keys with their values, as [`fields`](Self::fields), for code that works with
    /// `prost-types`. With the feature `prost-types`.
    ///
    /// ```
    /// # use proxy_filter::{Result, metadata};
    /// fn number_of_fields() -> Result<usize> {
    ///     Ok(metadata::node().prost_struct()?.unwrap_or_default().fields.len())
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`fields`](Self::fields), and [`Malformed`](ErrorKind::Malformed) for text that is
    /// not UTF-8.
    #[inline]
    pub fn prost_struct(self) -> Result<Option<prost_types::Struct>> {
        self.fields()?.map(TryInto::try_into).transpose()
    }
}

#[inline]
fn text(bytes: HeaderValue) -> Result<String> {
    String::from_utf8(bytes.into_bytes())
        .map_err(|_| Error::refused(ErrorKind::Malformed, "the metadata has text that is not UTF-8"))
}

/// # Errors
/// [`Malformed`](ErrorKind::Malformed) for text that is not UTF-8: protobuf has bytes and strings,
/// and this type strings only.
impl TryFrom<Value> for prost_types::Value {
    type Error = Error;

    #[inline]
    fn try_from(value: Value) -> Result<Self> {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Number(number) => Kind::NumberValue(number),
            Value::String(string) => Kind::StringValue(text(string)?),
            Value::Boolean(boolean) => Kind::BoolValue(boolean),
            Value::Struct(fields) => Kind::StructValue(fields.try_into()?),
            Value::List(values) => {
                let values = values.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
                Kind::ListValue(prost_types::ListValue { values })
            }
        };
        Ok(Self { kind: Some(kind) })
    }
}

/// # Errors
/// [`Malformed`](ErrorKind::Malformed) for text that is not UTF-8, that of keys included.
impl TryFrom<Struct> for prost_types::Struct {
    type Error = Error;

    #[inline]
    fn try_from(fields: Struct) -> Result<Self> {
        let field = |(key, value): (HeaderValue, Value)| Ok((text(key)?, value.try_into()?));
        Ok(Self { fields: fields.fields.into_iter().map(field).collect::<Result<_>>()? })
    }
}

/// A value without a kind is null, as everywhere in protobuf.
impl From<prost_types::Value> for Value {
    #[inline]
    fn from(value: prost_types::Value) -> Self {
        match value.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::NumberValue(number)) => Self::Number(number),
            Some(Kind::StringValue(string)) => Self::String(string.into()),
            Some(Kind::BoolValue(boolean)) => Self::Boolean(boolean),
            Some(Kind::StructValue(fields)) => Self::Struct(fields.into()),
            Some(Kind::ListValue(list)) => Self::List(list.values.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<prost_types::Struct> for Struct {
    #[inline]
    fn from(fields: prost_types::Struct) -> Self {
        // The map of `prost-types` is in the order of its keys, each once.
        Self { fields: fields.fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Value {
        let inner = Struct { fields: vec![("a".into(), Value::Null), ("b".into(), Value::Boolean(true))] };
        let list = vec![Value::Number(-1.5), Value::String("text".into()), Value::List(vec![]), Value::Struct(inner)];
        Value::Struct(Struct {
            fields: vec![("empty".into(), Value::Struct(Struct::default())), ("list".into(), Value::List(list))],
        })
    }

    #[test]
    fn every_kind_of_value_is_converted_in_both_directions() {
        let there = prost_types::Value::try_from(every_kind()).unwrap();
        let Some(Kind::StructValue(fields)) = &there.kind else { panic!("{there:?}") };
        assert_eq!(fields.fields.keys().collect::<Vec<_>>(), ["empty", "list"]);
        assert_eq!(Value::from(there), every_kind());
        assert_eq!(Value::from(prost_types::Value { kind: None }), Value::Null);
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let bytes = || HeaderValue::from(vec![0xff]);
        let in_a_list = Value::List(vec![Value::String(bytes())]);
        let as_a_key = Value::Struct(Struct { fields: vec![(bytes(), Value::Null)] });
        for value in [Value::String(bytes()), in_a_list, as_a_key] {
            assert_eq!(prost_types::Value::try_from(value).unwrap_err().kind(), ErrorKind::Malformed);
        }
    }
}
