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
    fn on_request_headers(&mut self, _: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, _: &mut ResponseBody, _: bool) -> FilterDataStatus {
        FilterDataStatus::Continue
    }
}

fn main() {}
