//! gRPC calls and streams as the path of a request says: what a filter does with what comes back.

use proxy_filter::grpc::{GrpcEvent, GrpcSender};
use proxy_filter::prelude::*;
use std::time::Duration;

/// The one message of the service.
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

fn text(text: &str) -> Text {
    Text { text: text.into() }
}

proxy_filter::grpc_client! {
    /// The service, as `grpc_client!` describes it.
    struct Service = "pkg.Service" {
        rpc talk = "Talk"(stream Text) -> stream Text;
    }
}

#[derive(Default)]
struct Root {
    stream: Option<GrpcSender<Text>>,
}

#[proxy_filter::root(grpc_calls, grpc_streams)]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        match String::from_utf8(configuration.bytes()?)?.as_str() {
            "call" => call("service", "FromTheRoot").timeout(Duration::from_secs(2)).send(self, |_, answer| {
                log::info!("the root got {}", line(answer));
                Ok(())
            }),
            "stream" => {
                let stream = Service::new("talk").talk().open(self, |root, event| {
                    log::info!("the root's stream: {}", told(event)?);
                    root.stream = None;
                    Ok(())
                })?;
                self.stream = Some(stream);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

#[derive(Default)]
struct Stream {
    lines: Vec<String>,
    path: String,
    open: Option<GrpcSender<Text>>,
}

fn line(answer: core::result::Result<Text, GrpcError>) -> String {
    match answer {
        Ok(answer) => format!("[{}]", answer.text),
        Err(why) => format!("{:?}: {why}", why.code()),
    }
}

fn call(cluster: &str, method: &str) -> GrpcCall<Text> {
    GrpcCall::new(cluster, "pkg.Service", method, &text(method))
        .metadata("x-plain", "a")
        .metadata("X-Plain", "b")
        .metadata("x-raw-bin", b"\0\r\n\xff")
        .timeout(Duration::from_millis(200))
}

/// What an event says, in one line.
fn told(event: GrpcEvent<'_, Text>) -> Result<String> {
    Ok(match event {
        GrpcEvent::InitialMetadata(metadata) => {
            let kind = metadata.get("x-kind")?.unwrap_or_default();
            format!("initial {kind} {:?}", metadata.get_binary("x-raw-bin")?)
        }
        GrpcEvent::Message(message) => format!("[{}]", message.text),
        GrpcEvent::TrailingMetadata(metadata) => {
            let status = metadata.get("grpc-status")?.unwrap_or_default();
            format!("trailing {status} {:?}", metadata.get_binary("x-raw-bin")?)
        }
        GrpcEvent::Closed(Ok(())) => "closed".into(),
        GrpcEvent::Closed(Err(why)) => format!("closed: {:?}: {why}", why.code()),
    })
}

impl Stream {
    /// Opens a stream, on which the answers are counted and treated as `on_message` says.
    fn open(&mut self, cluster: &str, on_message: fn(&mut Self, &str) -> Result<()>) {
        let opened = Service::new(cluster).talk().metadata("x-raw-bin", b"\0").open(self, move |stream, event| {
            let message = match &event {
                GrpcEvent::Message(message) => Some(message.text.clone()),
                _ => None,
            };
            stream.lines.push(told(event)?);
            message.map_or(Ok(()), |message| on_message(stream, &message))
        });
        match opened {
            Ok(stream) => self.open = Some(stream),
            Err(why) => self.lines.push(format!("not opened: {why}")),
        }
    }

    /// Sends on the stream that is open; the refusal is noted.
    fn say(&mut self, message: &str) {
        if let Some(open) = &self.open
            && let Err(why) = open.send(&text(message))
        {
            self.lines.push(format!("not sent: {why}"));
        }
    }

    fn close(&mut self) -> Result<()> {
        self.open.as_ref().map_or(Ok(()), GrpcSender::close)
    }
}

#[proxy_filter::context(grpc_calls, grpc_streams, http_calls)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default().to_string();
        let path = self.path.clone();
        let mut parts = path.trim_start_matches('/').split('/');
        match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
            ("call", method) => return request.pause_for(self, call("service", method), with_answer),
            ("cluster", name) => return request.pause_for(self, call(name, "Ask"), with_answer),
            ("zero", _) => {
                return request.pause_for(self, call("service", "Ask").timeout(Duration::ZERO), with_answer);
            }
            ("misbuilt", _) => {
                return request.pause_for(self, call("service", "Ask").metadata("te", "gzip"), with_answer);
            }
            ("several", _) => {
                for method in ["A", "B", "C"] {
                    let _held = request.pause_for(self, call("service", method), |stream, request, answer| {
                        stream.lines.push(line(answer));
                        if stream.lines.len() < 3 {
                            return Ok(FilterHeadersStatus::Pause);
                        }
                        request.replace("x-answer", stream.lines.join("; "))?;
                        Ok(FilterHeadersStatus::Continue)
                    })?;
                }
                return Ok(FilterHeadersStatus::Pause);
            }
            ("denied", _) => {
                return request.pause_for(self, call("service", "Denied"), |_, request, answer| match answer {
                    Err(why) if why.code() == GrpcCode::PERMISSION_DENIED => request.reply(LocalReply::new(403)),
                    answer => answer.map(|_| FilterHeadersStatus::Continue).map_err(Error::from),
                });
            }
            ("aside", _) => {
                call("service", "Aside").send(self, |_, answer| {
                    log::info!("aside: {}", line(answer));
                    Ok(())
                })?;
                return Ok(FilterHeadersStatus::Continue);
            }
            ("echo", _) => {
                self.open("talk", |stream, message| match message {
                    "two" => stream.close(),
                    _ => Ok(()),
                });
                self.say("one");
                self.say("");
                self.say("two");
            }
            ("silent", _) => {
                self.open("talk", |_, _| Ok(()));
                self.close()?;
                self.say("after the end of this half");
            }
            ("end", _) => {
                self.open("talk", |stream, _| {
                    stream.say("late");
                    Ok(())
                });
                self.say("end");
            }
            ("cancel", _) => {
                self.open("talk", |stream, _| {
                    stream.open = None;
                    Ok(())
                });
                self.say("one");
                self.say("two");
            }
            ("fail", _) => {
                self.open("talk", |stream, message| match message {
                    "one" => Err(Error::other("the handler failed")),
                    _ => stream.close(),
                });
                self.say("one");
                self.say("two");
            }
            ("once", cluster) => {
                self.open(cluster, |_, _| Ok(()));
                self.say("m");
                self.close()?;
            }
            ("left", _) => {
                self.open("talk", |_, _| Ok(()));
                self.say("slow");
                self.say("slow");
            }
            _ => return Ok(FilterHeadersStatus::Continue),
        }
        // Long enough for all that comes.
        request.pause_for(self, HttpCall::get("clock", "/"), |stream, request, _| {
            if stream.open.as_ref().is_some_and(GrpcSender::is_over) {
                stream.say("too late");
            }
            request.replace("x-answer", stream.lines.join("; "))?;
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if self.path != "/body" {
            return Ok(FilterDataStatus::Continue);
        }
        if !end_of_stream {
            return Ok(FilterDataStatus::Pause);
        }
        let sent = Text { text: String::from_utf8(body.to_bytes()?)? };
        let call = GrpcCall::<Text>::new("service", "pkg.Service", "Body", &sent);
        body.pause_for(self, call, |_, body, answer| {
            body.replace(answer?.text)?;
            Ok(FilterDataStatus::Continue)
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
        response.pause_for(self, call("service", "Response"), |_, response, answer| {
            response.replace("x-answer", line(answer))?;
            Ok(FilterHeadersStatus::Continue)
        })
    }
}

/// Tells the upstream what the answer was, and whether the service is down.
fn with_answer(
    _: &mut Stream,
    request: &mut RequestHeaders,
    answer: core::result::Result<Text, GrpcError>,
) -> Result<FilterHeadersStatus> {
    let verdict = match &answer {
        Ok(_) => "response",
        Err(GrpcError::Outage(_)) => "outage",
        Err(GrpcError::Status(_) | GrpcError::Malformed(_) | GrpcError::Refused(_)) => "refusal",
    };
    request.replace("x-verdict", verdict)?;
    request.replace("x-answer", line(answer))?;
    Ok(FilterHeadersStatus::Continue)
}
