use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_request_header(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
