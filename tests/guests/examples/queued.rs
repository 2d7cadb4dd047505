//! What is there already when it is waited for: messages of a gRPC stream, and calls that a host
//! refuses. `x-times` of them, one after the other.

use proxy_filter::grpc::{GrpcBytes, GrpcDuplex, GrpcStream};
use proxy_filter::prelude::*;
use std::time::Duration;

type Talk = GrpcDuplex<GrpcBytes, GrpcBytes>;

mod callbacks {
    use super::{
        Context, Duration, Error, FilterDataStatus, FilterHeadersStatus, GrpcBytes, GrpcStream, HttpCall, RequestBody,
        RequestHeaders, Result, RootContext, Talk, Timer,
    };

    #[derive(Default)]
    pub(crate) struct Root;

    #[proxy_filter::root(root_id = "callbacks")]
    impl RootContext for Root {
        type Context = Stream;

        fn new_context(&self) -> Stream {
            Stream { talk: None, seen: 0, times: 0 }
        }
    }

    pub(crate) struct Stream {
        talk: Option<Talk>,
        seen: u32,
        times: u32,
    }

    /// Waits for the next message, in the completion of the one before it.
    macro_rules! messages {
        ($name:ident: $Handle:ident -> $Status:ident) => {
            fn $name(stream: &mut Stream, handle: &mut $Handle) -> Result<$Status> {
                let Some(talk) = &stream.talk else { return Err("not connected".into()) };
                let next = talk.receive();
                handle.pause_for(stream, next, |stream, handle, message| match message {
                    Some(Ok(GrpcBytes(text))) if text == b"last" => {
                        log::info!("{} messages", stream.seen);
                        Ok($Status::Continue)
                    }
                    Some(Ok(_)) => {
                        stream.seen += 1;
                        $name(stream, handle)
                    }
                    other => Err(Error::other(format_args!("{other:?}"))),
                })
            }
        };
    }

    messages!(messages_at_headers: RequestHeaders -> FilterHeadersStatus);
    messages!(messages_at_body: RequestBody -> FilterDataStatus);

    /// Makes a call that the host refuses, and then the next one.
    fn refused(stream: &mut Stream, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
        request.pause_for(stream, HttpCall::get("no such cluster", "/"), |stream, request, answer| {
            stream.seen += u32::from(answer.is_err());
            if stream.seen < stream.times {
                return refused(stream, request);
            }
            log::info!("{} refusals", stream.seen);
            Ok(FilterHeadersStatus::Continue)
        })
    }

    /// The same without holding anything.
    fn sent(stream: &mut Stream) -> Result<()> {
        HttpCall::get("no such cluster", "/").send(stream, |stream, answer| {
            stream.seen += u32::from(answer.is_err());
            if stream.seen < stream.times {
                return sent(stream);
            }
            log::info!("{} refusals", stream.seen);
            Ok(())
        })
    }

    #[proxy_filter::context(grpc_streams, http_calls, timers)]
    impl Context for Stream {
        fn on_request_headers(
            &mut self,
            request: &mut RequestHeaders,
            end_of_stream: bool,
        ) -> Result<FilterHeadersStatus> {
            self.times =
                request.get("x-times")?.and_then(|times| times.to_str().ok()?.parse().ok()).unwrap_or_default();
            match request.path()?.unwrap_or_default().to_string().as_str() {
                "/refused" => return refused(self, request),
                "/refused-later" => {
                    return request.pause_for(self, Timer::after(Duration::from_millis(1)), |stream, request, _| {
                        refused(stream, request)
                    });
                }
                "/sent" => {
                    sent(self)?;
                    return Ok(FilterHeadersStatus::Continue);
                }
                _ => {}
            }
            let talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "p.S", "Talk").connect_in(self)?;
            talk.send(&GrpcBytes(self.times.to_string().into_bytes()))?;
            self.talk = Some(talk);
            if end_of_stream {
                // Something else comes first; the service goes on talking meanwhile.
                request.pause_for(self, Timer::after(Duration::from_secs(1)), |stream, request, elapsed| {
                    elapsed?;
                    messages_at_headers(stream, request)
                })
            } else {
                Ok(FilterHeadersStatus::Continue)
            }
        }

        /// The messages have come by now: the first is there at once.
        fn on_request_body(&mut self, body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
            match (&self.talk, end_of_stream) {
                (None, _) => Ok(FilterDataStatus::Continue),
                (Some(_), false) => Ok(FilterDataStatus::StopIterationAndBuffer),
                (Some(_), true) if body.is_empty() => Ok(FilterDataStatus::Continue),
                (Some(_), true) => messages_at_body(self, body),
            }
        }
    }
}

/// The same as an async function.
#[proxy_filter::filter(root_id = "function")]
async fn function(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let times: u32 = request.get("x-times")?.and_then(|times| times.to_str().ok()?.parse().ok()).unwrap_or_default();
    if request.path()?.unwrap_or_default().as_bytes() != b"/messages" {
        for _ in 0..times {
            if HttpCall::get("no such cluster", "/").await.is_ok() {
                return Err("a cluster that does not exist has answered".into());
            }
        }
        log::info!("{times} refusals");
        return Ok(());
    }
    let mut talk = GrpcStream::<GrpcBytes, GrpcBytes>::new("talk", "p.S", "Talk").connect()?;
    talk.send(&GrpcBytes(times.to_string().into_bytes()))?;
    Timer::after(Duration::from_secs(1)).await?;
    let mut seen = 0;
    while let Some(message) = talk.next().await {
        if message?.0 == b"last" {
            log::info!("{seen} messages");
            return Ok(());
        }
        seen += 1;
    }
    Err("the stream has ended".into())
}

proxy_filter::module!(callbacks::Root, Function);
