use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_create(&self) -> Result<()> {
        Ok(())
    }

    fn on_request_headers(&mut self, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
        let _ = request;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let _ = (body, end_of_stream);
        Ok(FilterDataStatus::Continue)
    }

    fn on_request_trailers<T>(&mut self, _: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        Ok(FilterTrailersStatus::Continue)
    }

    async fn on_response_headers(&mut self, _: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_done() -> Result<()> {
        Ok(())
    }

    fn on_log(&mut self, _: &LogContext) {}

    fn on_delete(self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
