//! Logs every request and response header at info.

use proxy_filter::log;
use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = DumpHeaders;

    fn new_context(&self) -> DumpHeaders {
        DumpHeaders
    }
}

struct DumpHeaders;

#[proxy_filter::context]
impl Context for DumpHeaders {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        for (name, value) in &request.pairs()? {
            log::info!("{}: {}", escaped(name), escaped(value));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        for (name, value) in &response.pairs()? {
            log::info!("{}: {}", escaped(name), escaped(value));
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
