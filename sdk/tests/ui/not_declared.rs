use proxy_filter::prelude::*;
use std::time::Duration;

#[derive(Default)]
struct Root;

#[proxy_filter::root(timers)]
impl RootContext for Root {
    type Context = Stream;

    fn on_tick(&mut self) -> Result<()> {
        Ok(())
    }

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
        HttpCall::get("a", "/").send(self, |_, _| Ok(()))?;
        request.pause_for(self, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterHeadersStatus::Continue))
    }
}

fn main() {}
