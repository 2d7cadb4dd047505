use proxy_filter::prelude::*;
use std::rc::Rc;

struct Config {}

struct Stamp;

impl From<&Rc<Config>> for Stamp {
    fn from(_: &Rc<Config>) -> Self {
        Self
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Stamp {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
