//! A filter of a chain that holds what it is told to. Its configuration is its name and the cluster
//! it asks; the header `x-<name>` lists the parts that it holds: `request-headers`, `request-body`,
//! `response-trailers` and so on, until the cluster has answered; `request-buffer` and
//! `response-buffer` hold a body until its end; `request-add` and `response-add` add a trailer to
//! it. What it holds of headers, it marks; to what it holds of a body, it adds its name.

use proxy_filter::prelude::*;
use std::rc::Rc;

#[derive(Default)]
struct Root {
    words: Rc<[String]>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let text = String::from_utf8(configuration.bytes()?)?;
        self.words = text.split(' ').map(str::to_owned).collect();
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { words: Rc::clone(&self.words), parts: String::new() }
    }
}

struct Stream {
    words: Rc<[String]>,
    /// What it is to hold.
    parts: String,
}

impl Stream {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn call(&self) -> HttpCall {
        HttpCall::get(self.words.get(1).map_or("", String::as_str), "/")
    }

    fn holds(&self, part: &str) -> bool {
        self.parts.split(',').any(|held| held == part)
    }

    /// Adds a trailer to the end of a body: to a map of the ABI.
    fn add_trailer(&self, map: u32) {
        let _ = proxy_filter::sys::proxy_add_header_map_value(map, b"x-added", self.name().as_bytes());
    }

    fn said(&self, what: &str) {
        log::info!("{} {what}", self.name());
    }
}

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, end: bool) -> Result<FilterHeadersStatus> {
        self.parts = request.get(format!("x-{}", self.name()))?.unwrap_or_default().to_string();
        self.said(&format!("request headers {end}"));
        request.remove("content-length")?;
        if !self.holds("request-headers") {
            return Ok(FilterHeadersStatus::Continue);
        }
        request.pause_for(self, self.call(), |stream, request, _| {
            stream.said("lets request headers go");
            if stream.holds("reply") {
                return request.reply(LocalReply::new(403).body("no"));
            }
            request.add("x-held", stream.name())?;
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end: bool) -> Result<FilterDataStatus> {
        self.said(&format!("request body {} {end}", escaped(&body.to_bytes()?)));
        if self.holds("request-body") && end {
            return body.pause_for(self, self.call(), |stream, body, _| {
                stream.said(&format!("lets request body go: {}", escaped(&body.to_bytes()?)));
                body.append(stream.name())?;
                Ok(FilterDataStatus::Continue)
            });
        }
        let holds = (self.holds("request-body") || self.holds("request-buffer")) && !end;
        if self.holds("request-buffer") && end {
            body.append(self.name())?;
        }
        if self.holds("request-add") && end {
            self.add_trailer(1);
        }
        Ok(if holds { FilterDataStatus::Pause } else { FilterDataStatus::Continue })
    }

    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        self.said("request trailers");
        if !self.holds("request-trailers") {
            return Ok(FilterTrailersStatus::Continue);
        }
        trailers.pause_for(self, self.call(), |stream, trailers, _| {
            stream.said("lets request trailers go");
            trailers.add("x-held", stream.name())?;
            Ok(FilterTrailersStatus::Continue)
        })
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, end: bool) -> Result<FilterHeadersStatus> {
        self.said(&format!("response headers {end}"));
        response.remove("content-length")?;
        if !self.holds("response-headers") {
            return Ok(FilterHeadersStatus::Continue);
        }
        response.pause_for(self, self.call(), |stream, response, _| {
            stream.said("lets response headers go");
            if stream.holds("late-reply") {
                return response.reply(LocalReply::new(502).body("late"));
            }
            response.add("x-held", stream.name())?;
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end: bool) -> Result<FilterDataStatus> {
        self.said(&format!("response body {} {end}", escaped(&body.to_bytes()?)));
        if self.holds("response-body") && end {
            return body.pause_for(self, self.call(), |stream, body, _| {
                stream.said(&format!("lets response body go: {}", escaped(&body.to_bytes()?)));
                body.append(stream.name())?;
                Ok(FilterDataStatus::Continue)
            });
        }
        let holds = (self.holds("response-body") || self.holds("response-buffer")) && !end;
        if self.holds("response-buffer") && end {
            body.append(self.name())?;
        }
        if self.holds("response-add") && end {
            self.add_trailer(3);
        }
        Ok(if holds { FilterDataStatus::Pause } else { FilterDataStatus::Continue })
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        self.said("response trailers");
        if !self.holds("response-trailers") {
            return Ok(FilterTrailersStatus::Continue);
        }
        trailers.pause_for(self, self.call(), |stream, trailers, _| {
            stream.said("lets response trailers go");
            trailers.add("x-held", stream.name())?;
            Ok(FilterTrailersStatus::Continue)
        })
    }
}
