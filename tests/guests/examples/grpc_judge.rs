//! Asks a service about each part of a request and its response, on one gRPC stream, and holds the
//! part until the service has answered.
//!
//! The service is told the path, the body and the status of the response. It answers `pass`, `wait`
//! (for another message), `more` (it wants to be asked again), or something else, with which the
//! request is refused. A path that ends with `/once` is all it is told, and one that begins with
//! `/slow` waits for 400 ms.

use proxy_filter::grpc::{GrpcBytes, GrpcDuplex, GrpcStream};
use proxy_filter::prelude::*;
use std::time::Duration;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

type Talk = GrpcDuplex<GrpcBytes, GrpcBytes>;
type Answer = Option<core::result::Result<GrpcBytes, GrpcError>>;

#[derive(Default)]
struct Stream {
    talk: Option<Talk>,
}

fn ask(talk: &Talk, question: &[u8]) -> Result<()> {
    talk.send(&GrpcBytes(question.to_vec()))
}

/// What the service says, in words.
fn said(answer: Answer) -> String {
    match answer {
        Some(Ok(GrpcBytes(message))) => String::from_utf8_lossy(&message).into_owned(),
        Some(Err(why)) => why.to_string(),
        None => "nothing".into(),
    }
}

fn decide(stream: &mut Stream, request: &mut RequestHeaders, answer: Answer) -> Result<FilterHeadersStatus> {
    let answer = said(answer);
    log::info!("the service says: {answer}");
    match (answer.as_str(), &stream.talk) {
        ("pass", _) => {
            request.add("x-judged", "yes")?;
            Ok(FilterHeadersStatus::Continue)
        }
        ("wait" | "more", Some(talk)) => {
            if answer == "more" {
                ask(talk, b"again")?;
            }
            let next = talk.receive();
            request.pause_for(stream, next, decide)
        }
        _ => request.reply(LocalReply::new(403).body(answer)),
    }
}

#[proxy_filter::context(grpc_streams, timers)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default();
        let talk: Talk = GrpcStream::new("judge", "pkg.Judge", "Talk").connect_in(self)?;
        ask(&talk, &path)?;
        let next = talk.receive();
        if !path.ends_with(b"/once") {
            self.talk = Some(talk);
        }
        if path.starts_with(b"/slow") {
            let _held = request.pause_for(self, Timer::after(Duration::from_millis(400)), |_, request, elapsed| {
                elapsed?;
                request.reply(LocalReply::new(504))
            })?;
        }
        request.pause_for(self, next, decide)
    }

    fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        match &self.talk {
            Some(talk) if end_of_stream && !body.is_empty() => {
                ask(talk, &body.to_bytes()?)?;
                let next = talk.receive();
                body.pause_for(self, next, |_, body, answer| match said(answer).as_str() {
                    "pass" => Ok(FilterDataStatus::Continue),
                    other => body.reply(LocalReply::new(403).body(other)),
                })
            }
            Some(_) if !end_of_stream => Ok(FilterDataStatus::Pause),
            _ => Ok(FilterDataStatus::Continue),
        }
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let Some(talk) = self.talk.take() else { return Ok(FilterHeadersStatus::Continue) };
        if ask(&talk, &response.get(":status")?.unwrap_or_default()).is_err() {
            log::info!("the service has ended the stream");
            return Ok(FilterHeadersStatus::Continue);
        }
        response.pause_for(self, talk.receive(), |_, response, answer| {
            response.add("x-judged", said(answer))?;
            Ok(FilterHeadersStatus::Continue)
        })
    }
}
