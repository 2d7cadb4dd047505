//! Does what the path of the request says: a guest for scenarios.
#![allow(clippy::panic, reason = "what a panic does is one of the scenarios")]

use proxy_filter::prelude::*;
use proxy_filter::property;

/// No literal: those are refused when a filter is compiled.
const SPLIT: &str = "a\r\nb";

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
        log::info!("start: {}", escaped(&configuration.bytes()?));
        Ok(())
    }

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let bytes = configuration.bytes()?;
        match bytes.as_slice() {
            b"refuse" => return Err(Error::other("refused as configured")),
            b"panic" => panic!("panicked as configured"),
            _ => log::info!("configure: {}", escaped(&bytes)),
        }
        log::trace!("a trace line");
        log::debug!("a debug line");
        log::warn!("a warn line");
        log::error!("an error line");
        proxy_filter::log::critical("a critical line");
        Ok(())
    }

    fn on_done(&mut self) -> bool {
        log::info!("root done");
        true
    }

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

#[derive(Default)]
struct Stream {
    path: String,
}

impl Stream {
    fn is(&self, path: &str) -> bool {
        self.path == path
    }
}

fn size(bytes: usize) -> String {
    bytes.to_string()
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_create(&mut self) -> Result<()> {
        log::info!("create");
        Ok(())
    }

    fn on_request_headers(&mut self, request: &mut RequestHeaders, end_of_stream: bool) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default().to_string();
        match self.path.as_str() {
            "/echo" => {
                let pairs = request.pairs()?;
                log::info!("{} pairs, end of stream {end_of_stream}", pairs.len());
                let largest = pairs.iter().map(|(_, value)| value.len()).max().unwrap_or_default();
                log::info!("largest value {largest}");
                log::info!("x-many {}", request.get_all("X-Many")?.iter().count());
                log::info!(
                    "method {:?} authority {:?} scheme {:?}",
                    request.method()?,
                    request.authority()?,
                    request.scheme()?
                );
                log::info!("x-empty {:?}, missing {:?}", request.get("x-empty")?, request.get("x-missing")?);
            }
            "/edit" => {
                request.add("x-added", "1")?;
                request.add("x-added", "2")?;
                request.replace("x-replaced", "new")?;
                request.replace("x-created", "new")?;
                request.remove("x-removed")?;
                request.remove("x-never-there")?;
                request.add("accept", "text/html")?;
            }
            "/set-pairs" => {
                let pairs = request.pairs()?;
                let kept: Vec<_> = pairs
                    .iter()
                    .filter(|(name, _)| name.starts_with(b":") || [&b"x-keep"[..], b"x-forwarded-proto"].contains(name))
                    .collect();
                request.set_pairs(kept)?;
            }
            "/no-proto" => request.remove("x-forwarded-proto")?,
            "/too-many" => {
                let result = request.set_pairs((0..1025).map(|n| (format!("x-{n}"), "v")));
                log::info!("{:?}", result.map_err(|error| error.kind()));
            }
            "/new-path" => request.replace(":path", "/other?x=1")?,
            "/crlf" => {
                for (name, value) in [("x-a", "1\r\nx-b: 2"), ("x\r\n", "1"), ("", "1"), ("x-nul", "\0")] {
                    log::info!("{:?}", request.add(name, value).map_err(|error| error.kind()));
                }
            }
            "/reply" => {
                return request.reply(
                    LocalReply::new(418).header("x-a", "1").header("x-a", "2").details("tea pot").body("tea\n"),
                );
            }
            "/reply-empty" => return request.reply(LocalReply::new(403)),
            "/reply-type" => {
                return request.reply(
                    LocalReply::new(200).header("content-type", "application/json").header("x-b", "1").body("{}"),
                );
            }
            "/reply-bad" => return request.reply(LocalReply::new(200).header("x", SPLIT)),
            "/fail" | "/open-fail" => return Err(Error::other("failed as asked")),
            "/panic" => panic!("panicked as asked"),
            "/stop" => return Ok(FilterHeadersStatus::Pause),
            "/hold" => return Ok(FilterHeadersStatus::StopIteration),
            "/property" => {
                for path in [
                    &["request", "path"][..],
                    &["plugin_name"],
                    &["plugin_root_id"],
                    &["nothing"],
                    &["request", "headers", "x-a"],
                ] {
                    log::info!("{path:?} {:?}", property::get(path)?.map(HeaderValue::from));
                }
                property::set("mark", "seen")?;
                log::info!("{:?}", property::get(&["mark"])?.map(HeaderValue::from));
                log::info!("{:?}", property::get(&[]).map_err(|error| error.kind()));
            }
            "/request-body" | "/request-append" | "/request-trailers" | "/open-buffered-fail" => {
                request.remove("content-length")?;
            }
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        log::info!("request body {} {end_of_stream}", body.len());
        match self.path.as_str() {
            "/request-body" => {
                if !end_of_stream {
                    return Ok(FilterDataStatus::StopIterationAndBuffer);
                }
                let upper = body.to_bytes()?.to_ascii_uppercase();
                body.replace(upper)?;
                body.prepend("<")?;
                body.append(">")?;
                log::info!("{} {}", body.len(), escaped(&body.bytes(1, 3)?));
            }
            "/request-append" if !body.is_empty() => body.append("+")?,
            "/request-watermark" if !end_of_stream => return Ok(FilterDataStatus::StopIterationAndWatermark),
            "/request-length" => {
                log::info!("{:?}", body.append("x").map_err(|error| error.kind()));
                let same = body.to_bytes()?.to_ascii_uppercase();
                body.replace(same)?;
            }
            "/request-buffer" if !end_of_stream => return Ok(FilterDataStatus::Pause),
            "/request-body-reply" => return body.reply(LocalReply::new(413).body("too much\n")),
            "/open-buffered-fail" if end_of_stream => {
                log::info!("at the end: {:?}", body.to_bytes().map(|bytes| bytes.len()).map_err(|error| error.kind()));
                log::info!("appended: {:?}", body.append("!").map_err(|error| error.kind()));
            }
            "/open-buffered-fail" if body.len() < 2 => return Ok(FilterDataStatus::StopIterationAndBuffer),
            "/open-buffered-fail" | "/request-body-fail" => return Err(Error::other("body failed as asked")),
            _ => {}
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        for (name, value) in &trailers.pairs()? {
            log::info!("request trailer {}: {}", escaped(name), escaped(value));
        }
        match self.path.as_str() {
            "/request-trailers" => {
                trailers.add("x-added", "1")?;
                trailers.replace("x-checksum", "2")?;
                trailers.remove("x-removed")?;
            }
            "/request-trailers-reply" => return trailers.reply(LocalReply::new(400).body("no trailers please\n")),
            _ => {}
        }
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        log::info!("response {:?} {end_of_stream}", response.status()?);
        match self.path.as_str() {
            "/response-reply" => return response.reply(LocalReply::new(502).header("x-l", "1").body("replaced\n")),
            "/response-fail" | "/open-response-fail" => return Err(Error::other("response failed as asked")),
            "/response-edit" => {
                response.replace(":status", "201")?;
                response.remove("x-removed")?;
                response.add("set-cookie", "a=1")?;
                response.add("set-cookie", "b=2")?;
                response.add("vary", "accept")?;
            }
            "/response-body" | "/response-chunks" => response.remove("content-length")?,
            "/response-hold" => return Ok(FilterHeadersStatus::StopIteration),
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        log::info!("response body {} {end_of_stream}", body.len());
        match self.path.as_str() {
            "/response-body" => {
                if !end_of_stream {
                    return Ok(FilterDataStatus::StopIterationAndBuffer);
                }
                if body.is_empty() {
                    log::info!("{:?}", body.replace("x").map_err(|error| error.kind()));
                    return Ok(FilterDataStatus::Continue);
                }
                let replaced = format!("{} bytes", size(body.len()));
                body.replace(replaced)?;
            }
            "/response-chunks" if !body.is_empty() => {
                body.prepend("[")?;
                body.append("]")?;
            }
            "/response-drop" if !end_of_stream => return Ok(FilterDataStatus::StopIterationNoBuffer),
            "/response-body-fail" if !end_of_stream => return Err(Error::other("response body failed as asked")),
            "/response-hold" => return body.reply(LocalReply::new(500).body("held\n")),
            _ => {}
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        for (name, value) in &trailers.pairs()? {
            log::info!("response trailer {}: {}", escaped(name), escaped(value));
        }
        trailers.add("x-seen", "1")?;
        Ok(FilterTrailersStatus::Continue)
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        log::info!("log {:?} {:?}", log.request_headers().get(":path")?, log.response_headers().get(":status")?);
        log::info!("log {:?}", log.response_trailers().get("x-t")?);
        if self.is("/log-fail") {
            return Err(Error::other("log failed as asked"));
        }
        Ok(())
    }

    fn failure_policy(&self) -> FailurePolicy {
        if self.path.starts_with("/open-") { FailurePolicy::Open } else { FailurePolicy::Closed }
    }

    fn on_done(&mut self) -> Result<()> {
        log::info!("done");
        Ok(())
    }

    fn on_delete(&mut self) -> Result<()> {
        log::info!("delete");
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        log::info!("drop");
    }
}
