use proxy_filter::prelude::*;

#[derive(serde::Deserialize)]
struct Config {}

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter(config = Config)]
impl Context for Stamp {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
