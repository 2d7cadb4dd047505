//! Adds one response header, and lets the stream go on if that fails.

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
    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        response.add("x-by", "proxy-filter")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Open
    }
}
