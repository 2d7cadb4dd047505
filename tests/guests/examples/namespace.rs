//! Reads a namespace of metadata and logs how many keys it has, and the value of one of them.

use proxy_filter::metadata::{self, Value};
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

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let fields = metadata::request().namespace("ns")?.unwrap_or_default();
        let value = fields.get("key").and_then(Value::as_number);
        log::info!("{} keys, {value:?}", fields.len());
        Ok(FilterHeadersStatus::Continue)
    }
}
