//! As `add_header`, with a context that is stored for each stream: the cost of a filter with state.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = AddHeader;

    fn new_context(&self) -> AddHeader {
        AddHeader {}
    }
}

struct AddHeader;

#[proxy_filter::context]
impl Context for AddHeader {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.add("x-filter", "bench")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
