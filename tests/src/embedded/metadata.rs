//! Metadata in the two encodings Envoy has for it: the message, and what is inside it as a
//! property.

use super::fields::encode;
use super::protobuf::field;
use crate::fixture;
use crate::message::Fields;
use proxy_filter::Status;
use serde_json::{Map, Value};

/// A property inside a `core.v3.Metadata`: the message itself, `filter_metadata`, a namespace, or
/// what is in it.
pub(super) fn get(namespaces: &Map<String, Value>, parts: &[&[u8]]) -> Result<Vec<u8>, Status> {
    match parts {
        [] => Ok(map(namespaces, |value| map(value.as_object().unwrap_or(&Map::new()), message))),
        [b"filter_metadata", rest @ ..] => within(namespaces, rest),
        _ => Err(Status::NOT_FOUND),
    }
}

/// A property inside the `core.v3.Node`.
pub(super) fn node(metadata: &Map<String, Value>, parts: &[&[u8]]) -> Result<Vec<u8>, Status> {
    match parts {
        [] => {
            let names = strings(&[fixture::NODE_ID, fixture::NODE_CLUSTER]);
            Ok([names, field(3, &map(metadata, message))].concat())
        }
        [b"id"] => Ok(fixture::NODE_ID.into()),
        [b"cluster"] => Ok(fixture::NODE_CLUSTER.into()),
        [b"metadata", rest @ ..] => within(metadata, rest),
        _ => Err(Status::NOT_FOUND),
    }
}

/// A message whose first fields are strings.
pub(super) fn strings(values: &[&str]) -> Vec<u8> {
    (1_u8..).zip(values).flat_map(|(number, value)| field(number, value.as_bytes())).collect()
}

fn within(fields: &Map<String, Value>, parts: &[&[u8]]) -> Result<Vec<u8>, Status> {
    match parts.split_first() {
        None => pairs(fields),
        Some((part, rest)) => inside(fields.get(&*String::from_utf8_lossy(part)).ok_or(Status::NOT_FOUND)?, rest),
    }
}

fn inside(value: &Value, parts: &[&[u8]]) -> Result<Vec<u8>, Status> {
    let Some((part, rest)) = parts.split_first() else { return property(value) };
    let part = String::from_utf8_lossy(part);
    let found = match value {
        Value::Array(values) => part.parse::<usize>().ok().and_then(|index| values.get(index)),
        value => value.get(&*part),
    };
    inside(found.ok_or(Status::NOT_FOUND)?, rest)
}

/// The encoding of a property. Envoy has none for null, nor for what contains it.
fn property(value: &Value) -> Result<Vec<u8>, Status> {
    match value {
        Value::Null => Err(Status::SERIALIZATION_FAILURE),
        Value::Bool(boolean) => Ok(vec![u8::from(*boolean)]),
        Value::Number(number) => Ok(number.as_f64().unwrap_or_default().to_le_bytes().to_vec()),
        Value::String(text) => Ok(text.clone().into_bytes()),
        Value::Array(values) => {
            Ok(encoded(&values.iter().map(|value| Ok((property(value)?, Vec::new()))).collect::<Result<_, _>>()?))
        }
        Value::Object(fields) => pairs(fields),
    }
}

fn pairs(fields: &Map<String, Value>) -> Result<Vec<u8>, Status> {
    let pair = |(key, value): (&String, &Value)| Ok((key.clone().into_bytes(), property(value)?));
    Ok(encoded(&fields.iter().map(pair).collect::<Result<_, _>>()?))
}

/// An empty map in a property has a count.
fn encoded(pairs: &Fields) -> Vec<u8> {
    if pairs.is_empty() { vec![0; 4] } else { encode(pairs) }
}

/// A message whose field 1 is a map.
fn map(fields: &Map<String, Value>, encode: fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let entry = |(key, value): (&String, &Value)| [field(1, key.as_bytes()), field(2, &encode(value))].concat();
    fields.iter().flat_map(|pair| field(1, &entry(pair))).collect()
}

/// A `google.protobuf.Value`.
fn message(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0],
        Value::Number(number) => [&[0x11][..], &number.as_f64().unwrap_or_default().to_le_bytes()].concat(),
        Value::String(text) => field(3, text.as_bytes()),
        Value::Bool(boolean) => vec![0x20, u8::from(*boolean)],
        Value::Object(fields) => field(5, &map(fields, message)),
        Value::Array(values) => {
            let list: Vec<u8> = values.iter().flat_map(|value| field(1, &message(value))).collect();
            field(6, &list)
        }
    }
}
