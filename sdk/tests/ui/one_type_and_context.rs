use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stamp;

    fn new_context(&self) -> Stamp {
        Stamp
    }
}

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter]
#[proxy_filter::context]
impl Context for Stamp {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
