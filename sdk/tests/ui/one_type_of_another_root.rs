use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "root")]
impl RootContext for Root {
    type Context = Stamp;

    fn new_context(&self) -> Stamp {
        Stamp
    }
}

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter(root_id = "stamp")]
impl Context for Stamp {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

proxy_filter::module!(Stamp);

fn main() {}
