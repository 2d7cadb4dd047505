//! Expressions in CEL: `expr_create`, `expr_evaluate` and `expr_delete`.
//!
//! They know the attributes that are text, numbers, booleans or header fields, whose names are in
//! lower case. Times, durations, metadata and filter state are not available to an expression here.
//! The functions are [`FUNCTIONS`] and the macros. Unlike in Envoy, an error on the left of `||`
//! and `&&` is an error of the whole expression, and the keys of a map are sorted.

use super::fields::{decode, encode};
use super::property;
use super::state::State;
use cel::objects::Key;
use cel::{Context, Program, Value};
use proxy_filter::Status;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Compiles an expression. Answers with its number.
pub(super) fn create(state: &mut State, text: &[u8]) -> Result<Vec<u8>, Status> {
    let text = std::str::from_utf8(text).map_err(|_| Status::BAD_ARGUMENT)?;
    let program = Program::compile(text).map_err(|_| Status::BAD_ARGUMENT)?;
    // Envoy refuses what calls a function that does not exist. Those whose names do not begin with
    // a letter are operators.
    let references = program.references();
    let operator = |name: &str| !name.starts_with(|first: char| first.is_ascii_alphabetic());
    if !references.functions().iter().all(|name| operator(name) || FUNCTIONS.contains(name)) {
        return Err(Status::BAD_ARGUMENT);
    }
    drop(references);
    let root = root(state);
    let next = state.expressions.next.entry(root).or_default();
    let token = *next;
    *next += 1;
    state.expressions.compiled.insert((root, token), Arc::new(program));
    Ok(token.to_le_bytes().to_vec())
}

/// The value of an expression, encoded as a property.
pub(super) fn evaluate(state: &mut State, token: &[u8]) -> Result<Vec<u8>, Status> {
    let token = number(token)?;
    let program = state.expressions.compiled.get(&(root(state), token)).cloned().ok_or(Status::NOT_FOUND)?;
    // Envoy uses the context whose callback runs, even while another one is selected.
    let selected = std::mem::take(&mut state.effective);
    let context = attributes(state);
    state.effective = selected;
    // The crate panics where it would have to construct a message.
    let value = catch_unwind(AssertUnwindSafe(|| program.execute(&context)));
    let value = value.ok().and_then(Result::ok).ok_or(Status::INTERNAL_FAILURE)?;
    encoded(&value).ok_or(Status::SERIALIZATION_FAILURE)
}

/// Forgets an expression, if there is one.
pub(super) fn delete(state: &mut State, token: &[u8]) -> Result<Vec<u8>, Status> {
    let token = number(token)?;
    let root = root(state);
    state.expressions.compiled.remove(&(root, token));
    Ok(Vec::new())
}

fn root(state: &State) -> u32 {
    state.root().map_or(0, |root| root.id)
}

fn number(token: &[u8]) -> Result<u32, Status> {
    token.try_into().map(u32::from_le_bytes).map_err(|_| Status::BAD_ARGUMENT)
}

/// The functions of CEL that are here.
const FUNCTIONS: [&str; 10] =
    ["bytes", "contains", "double", "endsWith", "int", "matches", "size", "startsWith", "string", "uint"];

/// How CEL sees a property.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    Uint,
    Bool,
    Fields,
}

/// The attributes of expressions, by kind.
const ATTRIBUTES: [(Kind, &[&str]); 5] = [
    (
        Kind::Text,
        &[
            "request.path",
            "request.url_path",
            "request.query",
            "request.host",
            "request.scheme",
            "request.method",
            "request.referer",
            "request.useragent",
            "request.id",
            "request.protocol",
            "response.code_details",
            "source.address",
            "destination.address",
            "connection.requested_server_name",
            "upstream.address",
            "upstream.local_address",
            "upstream.transport_failure_reason",
            "xds.filter_chain_name",
            "xds.virtual_host_name",
            "xds.route_name",
            "xds.cluster_name",
            "plugin_name",
            "plugin_root_id",
            "plugin_vm_id",
        ],
    ),
    (
        Kind::Int,
        &[
            "request.size",
            "request.headers_bytes",
            "request.total_size",
            "response.code",
            "response.flags",
            "response.grpc_status",
            "response.headers_bytes",
            "response.size",
            "response.total_size",
            "source.port",
            "destination.port",
            "upstream.port",
            "xds.listener_direction",
        ],
    ),
    (Kind::Uint, &["connection.id", "connection_id", "upstream.request_attempt_count"]),
    (Kind::Bool, &["connection.mtls"]),
    (Kind::Fields, &["request.headers", "response.headers", "response.trailers"]),
];

/// The attributes that exist now.
fn attributes(state: &mut State) -> Context<'static, 'static> {
    let mut context = Context::default();
    let mut groups: BTreeMap<&str, HashMap<Key, Value>> = BTreeMap::new();
    for (kind, names) in ATTRIBUTES {
        for name in names {
            let value =
                property::get(state, name.replace('.', "\0").as_bytes()).ok().and_then(|bytes| value(kind, &bytes));
            match (name.split_once('.'), value) {
                (Some((group, name)), value) => {
                    let group = groups.entry(group).or_default();
                    group.extend(value.map(|value| (Key::from(name), value)));
                }
                (None, Some(value)) => context.add_variable_from_value(*name, value),
                (None, None) => {}
            }
        }
    }
    for (name, group) in groups {
        context.add_variable_from_value(name, map(group));
    }
    context
}

fn map(fields: HashMap<Key, Value>) -> Value {
    Value::Map(cel::objects::Map { map: Arc::new(fields) })
}

fn text(bytes: &[u8]) -> Value {
    Value::String(Arc::new(String::from_utf8_lossy(bytes).into_owned()))
}

/// A property as CEL sees it.
fn value(kind: Kind, bytes: &[u8]) -> Option<Value> {
    let eight = || bytes.try_into().ok();
    match kind {
        Kind::Text => Some(text(bytes)),
        Kind::Int => eight().map(i64::from_le_bytes).map(Value::Int),
        Kind::Uint => eight().map(u64::from_le_bytes).map(Value::UInt),
        Kind::Bool => Some(Value::Bool(bytes != [0])),
        Kind::Fields => {
            let field =
                |(name, value): (Vec<u8>, Vec<u8>)| (String::from_utf8_lossy(&name).into_owned().into(), text(&value));
            Some(map(decode(bytes).into_iter().map(field).collect()))
        }
    }
}

/// A value in the encoding of properties, which has none for null.
fn encoded(value: &Value) -> Option<Vec<u8>> {
    let pairs = |pairs: Vec<(Vec<u8>, Vec<u8>)>| if pairs.is_empty() { vec![0; 4] } else { encode(&pairs) };
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => Some(bytes.to_vec()),
        Value::Int(number) => Some(number.to_le_bytes().to_vec()),
        Value::UInt(number) => Some(number.to_le_bytes().to_vec()),
        Value::Float(number) => Some(number.to_le_bytes().to_vec()),
        Value::Bool(boolean) => Some(vec![u8::from(*boolean)]),
        Value::List(values) => {
            let items: Option<Vec<_>> = values.iter().map(|value| Some((encoded(value)?, Vec::new()))).collect();
            items.map(pairs)
        }
        Value::Map(fields) => {
            let field = |(key, value): (&Key, &Value)| match key {
                Key::String(name) => Some((name.as_bytes().to_vec(), encoded(value)?)),
                _ => None,
            };
            let mut fields = fields.map.iter().map(field).collect::<Option<Vec<_>>>()?;
            fields.sort();
            Some(pairs(fields))
        }
        _ => None,
    }
}
