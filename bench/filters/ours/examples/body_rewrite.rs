//! Replaces the response's body.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = BodyRewrite;

    fn new_context(&self) -> BodyRewrite {
        BodyRewrite
    }
}

struct BodyRewrite;

#[proxy_filter::context]
impl Context for BodyRewrite {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.remove("content-length")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        if !body.is_empty() {
            body.replace("rewritten by a filter\n")?;
        }
        Ok(FilterDataStatus::Continue)
    }
}
