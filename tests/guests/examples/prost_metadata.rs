//! Logs metadata as the types of `prost-types`.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use proxy_filter::metadata;
use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

/// The value as JSON would write it, keys in their order.
fn shown(value: &Value) -> String {
    match &value.kind {
        None => "unset".into(),
        Some(Kind::NullValue(_)) => "null".into(),
        Some(Kind::NumberValue(number)) => number.to_string(),
        Some(Kind::StringValue(text)) => format!("{text:?}"),
        Some(Kind::BoolValue(boolean)) => boolean.to_string(),
        Some(Kind::StructValue(fields)) => all(fields),
        Some(Kind::ListValue(list)) => {
            format!("[{}]", list.values.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
    }
}

fn all(fields: &Struct) -> String {
    let field = |(key, value): (&String, &Value)| format!("{key}: {}", shown(value));
    format!("{{{}}}", fields.fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let route = metadata::route();
        log::info!("route: {:?}", route.prost_struct("example.route")?.as_ref().map(all));
        log::info!("absent: {:?}", route.prost_struct("example.absent")?);
        log::info!("nested: {:?}", route.prost_value("example.route", "nested")?.as_ref().map(shown));
        log::info!("no key: {:?}", route.prost_value("example.route", "none")?);
        log::info!("node: {:?}", metadata::node().prost_struct()?.as_ref().map(all));
        Ok(FilterHeadersStatus::Continue)
    }
}
