//! The smallest filter: one type without state.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter]
impl Context for Stamp {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.add("x-stamped", "1")?;
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
