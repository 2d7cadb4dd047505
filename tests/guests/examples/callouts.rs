//! Calls as the path of a request says: what a filter does while it waits.

use proxy_filter::callout::{HttpCallResponse, InHost};
use proxy_filter::prelude::*;
use std::time::Duration;

/// No literal: those are refused when a filter is compiled.
const SPLIT: &str = "a\r\nb";

#[derive(Default)]
struct Root;

#[proxy_filter::root(http_calls)]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let cluster = configuration.bytes()?;
        if cluster.is_empty() {
            return Ok(());
        }
        HttpCall::get(cluster, "/from-the-root").send(self, |_, answer| {
            match answer {
                Ok(answer) => log::info!("the root got {}: {}", answer.status(), escaped(&answer.body()?)),
                Err(why) => log::info!("the root got nothing: {why}"),
            }
            Ok(())
        })
    }

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

#[derive(Default)]
struct Stream {
    answers: Vec<String>,
    path: String,
}

/// What an answer says, in one line.
fn line(
    answer: core::result::Result<&proxy_filter::callout::HttpCallResponse<proxy_filter::callout::InHost>, CalloutError>,
) -> Result<String> {
    Ok(match answer {
        Ok(answer) => {
            let cookies = answer.headers()?.iter().filter(|(name, _)| *name == b"set-cookie").count();
            let trailer = match answer.trailers()?.get("x-trailer") {
                Some(trailer) => escaped(trailer).to_string(),
                None => "none".into(),
            };
            let (status, length) = (answer.status(), answer.body_len());
            let body = answer.body()?;
            let start = escaped(body.get(..20.min(body.len())).unwrap_or_default()).to_string();
            format!("{status} {length} [{start}] cookies {cookies} trailer {trailer}")
        }
        Err(why) => format!("no answer: {why}"),
    })
}

fn call(path: &str) -> HttpCall {
    HttpCall::get("service", path).header("x-from", "filter").timeout(Duration::from_millis(400))
}

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default().to_string();
        let path = self.path.clone();
        match path.as_str() {
            "/several" => {
                for name in ["a", "b", "c"] {
                    let held = request.pause_for(self, call(&format!("/{name}")), |stream, request, answer| {
                        stream.answers.push(line(answer)?);
                        if stream.answers.len() < 3 {
                            return Ok(FilterHeadersStatus::Pause);
                        }
                        request.replace("x-answers", stream.answers.join("; "))?;
                        Ok(FilterHeadersStatus::Continue)
                    })?;
                    log::debug!("{held:?}");
                }
                Ok(FilterHeadersStatus::Pause)
            }
            "/race" => {
                for name in ["a", "b"] {
                    let _held = request.pause_for(self, call(&format!("/{name}")), |_, request, answer| {
                        request.add("x-won", line(answer)?)?;
                        Ok(FilterHeadersStatus::Continue)
                    })?;
                }
                Ok(FilterHeadersStatus::Pause)
            }
            "/chain" => request.pause_for(self, call("/first"), |stream, request, answer| {
                stream.answers.push(line(answer)?);
                request.pause_for(stream, call("/second"), |stream, request, answer| {
                    stream.answers.push(line(answer)?);
                    request.replace("x-answers", stream.answers.join("; "))?;
                    Ok(FilterHeadersStatus::Continue)
                })
            }),
            "/denied" => request.pause_for(self, call("/denied"), |_, request, answer| {
                let reply = LocalReply::new(403).header("x-why", line(answer)?).body("denied\n");
                request.reply(reply)
            }),
            "/failing" => request.pause_for(self, call("/failing"), |_, _, answer| {
                answer?;
                Err(Error::other("the completion failed"))
            }),
            "/aside" => {
                call("/aside").send(self, |_, answer| {
                    log::info!("aside: {}", line(answer)?);
                    Ok(())
                })?;
                Ok(FilterHeadersStatus::Continue)
            }
            #[cfg(target_family = "wasm")]
            "/memory" => {
                log::info!("{}", core::arch::wasm32::memory_size(0));
                Ok(FilterHeadersStatus::Continue)
            }
            "/unknown" => request.pause_for(self, HttpCall::get("no_such_cluster", "/"), with_answer),
            "/empty" => request.pause_for(self, HttpCall::get("empty", "/"), with_answer),
            "/down" => request.pause_for(self, HttpCall::get("down", "/"), with_answer),
            "/misbuilt" => request.pause_for(self, call("/").header("x", SPLIT), with_answer),
            path if path.starts_with("/verdict/") => {
                let (cluster, what) = path.trim_start_matches("/verdict/").split_once('/').unwrap_or_default();
                let (text, many) = (request.get("x-text")?.unwrap_or_default(), if what == "large" { 1100 } else { 1 });
                let call = HttpCall::get(cluster, format!("/{what}")).timeout(Duration::from_millis(400));
                let call = (0..many).fold(call, |call, _| call.header("x-text", &text));
                request.pause_for(self, if what == "odd" { call.header("x", SPLIT) } else { call }, with_verdict)
            }
            "/upload" => {
                let post = HttpCall::post("service", "/upload").body(vec![b'x'; 10 * 1024 * 1024]);
                request.pause_for(self, post, with_answer)
            }
            "/resumed" => request.pause_for(self, call("/resumed"), with_answer),
            path if path.starts_with("/request/") => request.pause_for(self, call(path), with_answer),
            _ => Ok(FilterHeadersStatus::Continue),
        }
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if self.path == "/resumed" {
            if !end_of_stream {
                return Ok(FilterDataStatus::StopIterationAndBuffer);
            }
            let upper = body.to_bytes()?.to_ascii_uppercase();
            body.replace(upper)?;
        }
        if self.path != "/body" {
            return Ok(FilterDataStatus::Continue);
        }
        if !end_of_stream {
            return Ok(FilterDataStatus::Pause);
        }
        let posted = HttpCall::post("service", "/body").body(body.to_bytes()?);
        body.pause_for(self, posted, |_, body, answer| {
            let upper = answer?.body()?;
            body.replace(upper)?;
            Ok(FilterDataStatus::Continue)
        })
    }

    fn on_request_trailers(&mut self, trailers: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
        if self.path != "/trailers" {
            return Ok(FilterTrailersStatus::Continue);
        }
        trailers.pause_for(self, call("/trailers"), |_, trailers, answer| {
            trailers.replace("x-answer", line(answer)?)?;
            Ok(FilterTrailersStatus::Continue)
        })
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        if self.path != "/response" {
            return Ok(FilterHeadersStatus::Continue);
        }
        response.pause_for(self, call("/response"), |_, response, answer| {
            response.replace("x-answer", line(answer)?)?;
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if self.path != "/response-body" {
            return Ok(FilterDataStatus::Continue);
        }
        if !end_of_stream {
            return Ok(FilterDataStatus::Pause);
        }
        body.pause_for(self, call("/response-body"), |_, body, answer| {
            let answer = answer?.body()?;
            let same_length: Vec<u8> = answer.iter().copied().chain(std::iter::repeat(b'.')).take(body.len()).collect();
            body.replace(same_length)?;
            Ok(FilterDataStatus::Continue)
        })
    }
}

/// Tells the upstream whether the service is down.
fn with_verdict(
    _: &mut Stream,
    request: &mut RequestHeaders,
    response: core::result::Result<&HttpCallResponse<InHost>, CalloutError>,
) -> Result<FilterHeadersStatus> {
    let verdict = match response.and_then(HttpCallResponse::outage_for_status) {
        Ok(response) => format!("response {}", response.status()),
        Err(CalloutError::Outage(why)) => format!("outage: {why}"),
        Err(CalloutError::Refused(error)) => format!("refused: {:?}", error.kind()),
    };
    request.replace("x-answer", verdict)?;
    Ok(FilterHeadersStatus::Continue)
}

/// Tells the upstream what the answer was.
fn with_answer(
    _: &mut Stream,
    request: &mut RequestHeaders,
    answer: core::result::Result<&proxy_filter::callout::HttpCallResponse<proxy_filter::callout::InHost>, CalloutError>,
) -> Result<FilterHeadersStatus> {
    request.replace("x-answer", line(answer)?)?;
    Ok(FilterHeadersStatus::Continue)
}
