//! The smallest filter: one type, without state.

use proxy_filter::prelude::*;

/// One request and its response.
#[derive(Debug, Default)]
pub struct Stream;

#[proxy_filter::filter]
impl Context for Stream {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.add("x-by", "proxy-filter")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
