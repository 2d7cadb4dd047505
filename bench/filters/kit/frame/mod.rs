//! A filter that runs one block of the kit for each request.

use proxy_filter::prelude::*;
use std::hint::black_box;

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
        black_box(super::run());
        Ok(FilterHeadersStatus::Continue)
    }
}
