//! Looks at bodies without state of its own: the SDK remembers what became of `content-length`,
//! what is buffered, and what has ended.

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
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        if request.get("x-edit")?.is_some() {
            request.remove("content-length")?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        let result = body.append("!").map_err(|error| error.kind());
        log::info!("request {} {result:?}", body.len());
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        log::info!("response {} {end_of_stream}", body.len());
        if body.len() == 4 { Err(Error::other("told to fail")) } else { Ok(FilterDataStatus::Continue) }
    }
}
