//! A filter without state: what it does depends on the path and nothing else. The host is not told
//! of its streams' life.
#![allow(clippy::panic, reason = "what a panic does is one of the scenarios")]

use proxy_filter::prelude::*;

/// Nothing makes one.
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
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        let path = request.get(":path")?.unwrap_or_default();
        log::info!("request {} {end_of_stream}", escaped(&path));
        match path.as_ref() {
            b"/reply" => request.reply(LocalReply::new(403).details("told_to").body("refused\n")),
            b"/fail" => Err(Error::other("told to fail")),
            b"/panic" => panic!("told to panic"),
            _ => {
                request.replace("x-user", "nobody")?;
                Ok(FilterHeadersStatus::Continue)
            }
        }
    }

    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        trailers.add("x-trailer", "1")?;
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        response.add("x-by", "stateless")?;
        match response.get("x-then")?.as_deref() {
            Some(b"fail") => Err(Error::other("told to fail")),
            Some(b"reply") => response.reply(LocalReply::new(502).body("replaced\n")),
            _ => Ok(FilterHeadersStatus::Continue),
        }
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        if trailers.get("x-then")?.is_some() {
            return Err(Error::other("told to fail"));
        }
        trailers.add("x-trailer", "2")?;
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        log::info!("log {}", escaped(&log.response_headers().get(":status")?.unwrap_or_default()));
        Ok(())
    }
}
