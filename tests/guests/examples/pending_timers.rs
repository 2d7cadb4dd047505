//! Holds every request for an hour: a guest for streams that end while a timer runs.

use proxy_filter::prelude::*;
use std::time::Duration;

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

#[proxy_filter::context(timers)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        request.pause_for(self, Timer::after(Duration::from_secs(3600)), |_, _, elapsed| {
            elapsed?;
            Ok(FilterHeadersStatus::Continue)
        })
    }
}
