//! [`Value`] and [`Struct`], and how they are read from `google.protobuf.Struct`.

#[cfg(feature = "json")]
pub(crate) mod json;

use crate::abi::protobuf::{Field, Fields, Malformed};
use crate::fields::header_value::HeaderValue;
use core::cmp::Ordering;
use std::collections::BinaryHeap;

/// A value of metadata: what JSON has, with bytes for text.
///
/// ```
/// use proxy_filter::metadata::Value;
///
/// let value = Value::Number(1.5);
/// assert_eq!(value.as_number(), Some(1.5));
/// assert_eq!(value.as_string(), None);
/// ```
///
/// Source: `google.protobuf.Value`. The SDK has its own type for two reasons. Reading a list
/// instead of a string makes a module 6 KB larger with this type, and 17 KB larger with `prost` and
/// `prost-types`. Those crates also refuse a string that is not UTF-8, which a filter may store
/// from data of a client. With the feature `prost-types`, `TryFrom` converts it to a
/// `prost_types::Value`, and `From` converts it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// A number.
    Number(f64),
    /// A string.
    String(HeaderValue),
    /// `true` or `false`
    Boolean(bool),
    /// Keys and values.
    Struct(Struct),
    /// A list of values.
    List(Vec<Value>),
}

impl Value {
    /// The number, if it is one.
    pub const fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub const fn as_string(&self) -> Option<&HeaderValue> {
        match self {
            Self::String(string) => Some(string),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub const fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The keys and values, if it is a struct.
    pub const fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    /// The values, if it is a list.
    #[inline]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }
}

/// Keys and values of metadata, in the order of the keys.
///
/// ```
/// # use proxy_filter::{Result, metadata};
/// fn log_node() -> Result<()> {
///     for (key, value) in metadata::node().fields()?.unwrap_or_default().iter() {
///         log::info!("{key}: {value:?}");
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struct {
    /// Sorted by key, each key once.
    pub(super) fields: Vec<(HeaderValue, Value)>,
}

impl Struct {
    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        let at = self.find(key.as_ref()).ok()?;
        self.fields.get(at).map(|(_, value)| value)
    }

    #[inline]
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key.as_bytes()).ok()?;
        self.fields.get_mut(at).map(|(_, value)| core::mem::take(value))
    }

    /// The number of keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether the map has no keys.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Keys and values in the order of the keys.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderValue, &Value)> {
        self.fields.iter().map(|(key, value)| (key, value))
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.fields.binary_search_by(|(found, _)| found.as_bytes().cmp(key))
    }

    /// Adds a value whose key is not before the last key. For equal keys, the later value is used.
    #[inline]
    fn push(&mut self, key: &[u8], value: Value) {
        match self.fields.last_mut() {
            Some((last, place)) if last.as_bytes() == key => *place = value,
            _ => self.fields.push((key.into(), value)),
        }
    }
}

/// As deep as Envoy reads messages itself. Deeper ones would be an attack on the stack.
const MAX_DEPTH: u32 = 100;

/// One entry of a map on the wire, ordered by its key; equal keys stay in their order.
struct Entry<'a> {
    key: &'a [u8],
    place: usize,
    value: &'a [u8],
}

impl Ord for Entry<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Entry<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry<'_> {}

/// Reads a `google.protobuf.Struct`.
#[inline]
pub(super) fn decode(message: &[u8], depth: u32) -> Result<Struct, Malformed> {
    let mut fields = Fields::new(message);
    let mut entries = Vec::new();
    while let Some((number, field)) = fields.next()? {
        if let (1, Field::Bytes(entry)) = (number, field) {
            let entry = Fields::new(entry);
            entries.push(Entry { key: entry.bytes(1)?, place: entries.len(), value: entry.bytes(2)? });
        }
    }
    let mut decoded = Struct::default();
    // A heap sorts with 6 KB less code than `sort_unstable`.
    for Entry { key, value, .. } in BinaryHeap::from(entries).into_sorted_vec() {
        decoded.push(key, decode_value(value, depth + 1)?);
    }
    Ok(decoded)
}

#[inline]
fn decode_value(message: &[u8], depth: u32) -> Result<Value, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let mut fields = Fields::new(message);
    let mut value = Value::Null;
    while let Some(field) = fields.next()? {
        value = match field {
            (1, Field::Varint(_)) => Value::Null,
            (2, Field::Fixed64(bits)) => Value::Number(f64::from_bits(bits)),
            (3, Field::Bytes(string)) => Value::String(string.into()),
            (4, Field::Varint(boolean)) => Value::Boolean(boolean != 0),
            (5, Field::Bytes(fields)) => Value::Struct(decode(fields, depth)?),
            (6, Field::Bytes(list)) => Value::List(decode_list(list, depth)?),
            _ => value,
        };
    }
    Ok(value)
}

#[inline]
fn decode_list(message: &[u8], depth: u32) -> Result<Vec<Value>, Malformed> {
    let mut fields = Fields::new(message);
    let mut values = Vec::new();
    while let Some((number, field)) = fields.next()? {
        if let (1, Field::Bytes(value)) = (number, field) {
            values.push(decode_value(value, depth + 1)?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::protobuf::Message;

    fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
        // A message field is written even if it is empty.
        let entry =
            [&Message::new().bytes(1, key).finish()[..], &[0x12, u8::try_from(value.len()).unwrap()], value].concat();
        Message::new().bytes(1, &entry).finish()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let number = [&[0x11][..], &1.5_f64.to_le_bytes()].concat();
        let list = [0x32, 6, 0x0a, 2, 0x20, 1, 0x0a, 0];
        let message = [
            entry(b"z", &number),
            entry(b"s", b"\x1a\x02\xff\xfe"),
            entry(b"b", b"\x20\x01"),
            entry(b"n", b"\x08\x00"),
            entry(b"unset", b""),
            entry(b"l", &list),
            entry(b"m", b"\x2a\x00"),
            entry(b"b", b"\x20\x00"),
        ]
        .concat();
        let decoded = decode(&message, 0).unwrap();
        let keys: Vec<_> = decoded.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["b", "l", "m", "n", "s", "unset", "z"]);
        assert_eq!(decoded.get("z"), Some(&Value::Number(1.5)));
        assert_eq!(decoded.get("s").and_then(Value::as_string), Some(&HeaderValue::from(vec![0xff, 0xfe])));
        assert_eq!(decoded.get("b").and_then(Value::as_boolean), Some(false), "the last one counts");
        assert_eq!(decoded.get("n"), Some(&Value::Null));
        assert_eq!(decoded.get("unset"), Some(&Value::Null));
        assert_eq!(decoded.get("l").and_then(Value::as_list), Some(&[Value::Boolean(true), Value::Null][..]));
        assert!(decoded.get("m").and_then(Value::as_struct).is_some_and(Struct::is_empty));
        assert_eq!(decoded.get("none"), None);
        for end in 1..message.len() {
            let _ = decode(&message[..end], 0);
        }
    }

    #[test]
    fn deeply_nested_structs_are_malformed_and_do_not_overflow_the_stack() {
        let mut message = Vec::new();
        for _ in 0..10_000 {
            let value = Message::new().bytes(5, &message).finish();
            let entry = Message::new().bytes(1, b"k").bytes(2, &value).finish();
            message = Message::new().bytes(1, &entry).finish();
        }
        assert_eq!(decode(&message, 0), Err(Malformed));
    }
}
