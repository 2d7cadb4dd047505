//! Reads one attribute and one value of metadata, and nothing else.

use proxy_filter::prelude::*;
use proxy_filter::{metadata, stream_info};

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
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let limit = metadata::route().number("example.limits", "port")?.unwrap_or(1024.0);
        if stream_info::source().port()?.is_some_and(|port| f64::from(port) < limit) {
            request.add("x-privileged", "1")?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Open
    }
}
