//! Literals that can never be a header field, where the SDK takes one.

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

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        request.replace("x b", "1")?;
        request.add(b"x\xff", "1")?;
        if request.remove("").is_ok() {
            request.replace(":host", "other")?;
        }
        [1].iter().try_for_each(|_| request.add("set-cookie:s=evil;x", "1"))?;
        request.reply(LocalReply::new(403).header("www authenticate", "Bearer"))
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace("x-by", "a\nb")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        trailers.add("x(y)", "1")?;
        HttpCall::get("authz", "/a b").send(self, |_, _| Ok(()))?;
        HttpCall::new("authz", "GET /", "check").header("x:", "1").send(self, |_, _| Ok(()))?;
        Ok(FilterTrailersStatus::Continue)
    }
}

fn main() {}
