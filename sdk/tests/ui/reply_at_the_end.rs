//! Decisions that make Envoy crash: at the end of a stream, and before its response. None compiles.

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
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        request.continue_stream(); // There is no response yet that could be continued instead.
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        log.reply(LocalReply::new(500));
        log.request_headers().reply(LocalReply::new(500));
        log.response_trailers().reply(LocalReply::new(500));
        LocalReply::new(500).send();
        Ok(())
    }
}

fn main() {}
