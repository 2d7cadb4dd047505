//! Says which METADATA frames of HTTP/2 come.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, _: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        log::info!("request headers {end_of_stream}");
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_metadata(&mut self, entries: u32) -> Result<()> {
        log::info!("request metadata {entries}");
        Err(Error::other("the request's metadata failed as asked"))
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        log::info!("request body {} {end_of_stream}", body.len());
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_headers(&mut self, _: &mut ResponseHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        log::info!("response headers {end_of_stream}");
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_metadata(&mut self, entries: u32) -> Result<()> {
        log::info!("response metadata {entries}");
        Ok(())
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        log::info!("response body {} {end_of_stream}", body.len());
        Ok(FilterDataStatus::Continue)
    }
}
