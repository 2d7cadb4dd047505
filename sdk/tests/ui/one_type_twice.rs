use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter]
#[proxy_filter::filter]
impl Context for Stamp {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
