//! One HTTP stream, from the client's request to the deletion of its contexts.
//!
//! It waits for events and for time, and other streams are played meanwhile.

use super::client::Client;
use super::codec::{self, Decoded, Head, Refusal};
use super::contexts::{Contexts, Ended};
use super::incoming::Incoming;
use super::playback::{Forwarded, Interrupted, Playback, Rest};
use super::progress::{Progress, Waits};
use super::upstream::{self, Upstream};
use crate::backend::Answer;
use crate::embedded::fields::Map;
use crate::embedded::flags::{UPSTREAM_CONNECTION_TERMINATION, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_REMOTE_RESET};
use crate::embedded::info::Whose;
use crate::embedded::stream::{LocalReply, Side, Stream, Which};
use crate::embedded::{valid, wire};
use crate::host_profile::Quirk;
use crate::message::{Protocol, Received, Reply, Request};
use crate::not_played::NotPlayed;
use crate::route::Found;
use crate::violation::Rule;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};

/// What came of an exchange.
#[derive(Default)]
pub(in crate::embedded) struct Played {
    /// What the client received.
    pub(in crate::embedded) response: Option<Received>,
    /// What the upstream received.
    pub(in crate::embedded) upstream: Option<Received>,
    /// The line of the access log.
    pub(in crate::embedded) access_log: Option<String>,
}

/// One HTTP exchange. It is played step by step, because others may be in flight at the same time.
pub(in crate::embedded) struct Exchange {
    /// The number of its stream.
    stream: Option<u64>,
    progress: Rc<Progress>,
    steps: Pin<Box<dyn Future<Output = Result<Played, NotPlayed>>>>,
    played: Option<Result<Played, NotPlayed>>,
}

impl Exchange {
    /// An exchange with a new stream, unless the codec resets its request. Its upstream responds at
    /// once, or is held until [`release`](Self::release).
    pub(in crate::embedded) fn new(
        mut contexts: Contexts,
        decoded: Decoded,
        stream: Option<Stream>,
        request: &Request,
        answer: &Answer,
        held: bool,
    ) -> Self {
        let number = stream.as_ref().map(|stream| stream.number);
        let client = Client::new(request, contexts.now());
        contexts.begin(stream, request.protocol);
        let progress = Rc::new(Progress::new(held));
        let course = Course { client, upstream: Upstream::default(), rest: None, progress: Rc::clone(&progress) };
        let steps = Box::pin(course.play(contexts, decoded, Answer::clone(answer)));
        Self { stream: number, progress, steps, played: None }
    }

    /// The number of its stream, if there is one.
    pub(in crate::embedded) const fn stream(&self) -> Option<u64> {
        self.stream
    }

    /// What it waits for; nothing before its first step.
    pub(in crate::embedded) fn waits(&self) -> Waits {
        self.progress.waits()
    }

    /// Whether the upstream has the request.
    pub(in crate::embedded) fn reached_the_upstream(&self) -> bool {
        self.progress.reached()
    }

    /// Lets the upstream respond in the next step.
    pub(in crate::embedded) fn release(&self) {
        self.progress.release();
    }

    /// Whether the stream has ended.
    pub(in crate::embedded) const fn has_ended(&self) -> bool {
        self.played.is_some()
    }

    /// Plays as far as nothing is waited for. `happened`: there was an event; otherwise the time is
    /// up that it waited for.
    pub(in crate::embedded) fn step(&mut self, happened: bool) {
        if self.has_ended() {
            return;
        }
        self.progress.resume(happened);
        let steps = self.steps.as_mut().poll(&mut task::Context::from_waker(task::Waker::noop()));
        if let Poll::Ready(played) = steps {
            self.played = Some(played);
        }
    }

    /// What came of it. Nothing if the stream has not ended.
    pub(in crate::embedded) fn played(self) -> Result<Played, NotPlayed> {
        self.played.unwrap_or_else(|| Ok(Played::default()))
    }
}

/// The course of an exchange.
struct Course {
    client: Client,
    upstream: Upstream,
    /// What comes of the request after the response has begun.
    rest: Option<Rest>,
    progress: Rc<Progress>,
}

impl Course {
    /// Plays the stream from its request to its end.
    async fn play(mut self, mut contexts: Contexts, decoded: Decoded, answer: Answer) -> Result<Played, NotPlayed> {
        let contexts = &mut contexts;
        let client = match decoded {
            // The connection is closed at once.
            Decoded::Reset => {
                contexts.end();
                return Ok(Played::default());
            }
            Decoded::NotPlayed(why) => {
                contexts.end();
                return Err(why);
            }
            // Envoy makes a local reply before the filters run.
            Decoded::Refused(refusal) => Ok(Some(self.refused(contexts, *refusal))),
            Decoded::Request(head) => {
                let mut asked = self.request(contexts, *head).await;
                if asked.is_ok() {
                    self.progress.at_upstream().await;
                    // Meanwhile the module may have made a local reply or closed the stream.
                    asked = contexts.asked();
                }
                self.forward(contexts, asked, &answer).await
            }
        };
        close(contexts);
        let access_log = contexts.with_stream(|stream| stream.access_log.take()).flatten();
        contexts.end();
        contexts.notify_of_items();
        contexts.deliver_due();
        let groups = self.client.request.protocol == Protocol::Http2 && contexts.plays(Quirk::FieldsAreGrouped);
        client.map(|response| Played {
            response: response.map(|response| if groups { wire::grouped(response) } else { response }),
            upstream: self.upstream.received.map(|request| if groups { wire::grouped(request) } else { request }),
            access_log,
        })
    }

    /// Takes the request through the filters and to the upstream.
    async fn request(&mut self, contexts: &mut Contexts, head: Head) -> Result<(), Ended> {
        let Head { map, end, broken, closes, tunnel } = head;
        contexts.with_info(|info| info.tunnel = tunnel);
        upstream::select(contexts, Some(&map));
        self.client.closes = closes;
        if end {
            contexts.note_request();
        }
        let request = &self.client.request;
        let mut incoming = Incoming::of(&request.body, &request.trailers, request.protocol, contexts.now());
        incoming.malformed = broken;
        if !tunnel && contexts.plays(Quirk::RequestBodyIsOneChunk) {
            incoming.end_with_bytes();
        }
        let early = request.answered.chunks().filter(|_| !end || tunnel);
        let playback =
            Playback::new(contexts, (&self.client, &self.progress), Which::Request, map, end && early.is_none());
        let played = match early {
            Some(chunks) => playback.play_before_response(incoming, chunks).await.map(|(forwarded, rest)| {
                self.rest = rest;
                forwarded
            }),
            None => playback.play(&request.metadata, (!end).then_some(incoming), None).await,
        };
        match played {
            Ok(Forwarded { body, trailers }) => {
                self.upstream.receive(contexts, request, (&body, trailers.as_ref()), early.is_some(), end);
                Ok(())
            }
            Err(Interrupted { why, body }) => {
                self.upstream.abandon(contexts, request, &body);
                Err(why)
            }
        }
    }

    /// Asks the upstream, and takes its response back. What the client receives.
    async fn forward(
        &mut self,
        contexts: &mut Contexts,
        asked: Result<(), Ended>,
        answer: &Answer,
    ) -> Result<Option<Received>, NotPlayed> {
        let reply = match asked {
            Ok(()) => self.respond(contexts, answer).await,
            Err(why) => Err(why),
        };
        Ok(match reply {
            Ok(reply) if reply.reset => {
                contexts.with_info(|info| info.flags |= UPSTREAM_CONNECTION_TERMINATION);
                Some(self.local_reply(contexts, &wire::upstream_reset()).await)
            }
            Ok(reply) => return self.response(contexts, &reply).await,
            Err(Ended::Reply(reply)) => Some(self.local_reply(contexts, &reply).await),
            Err(Ended::Failed) => Some(self.vm_failed(contexts)),
            Err(Ended::Closed | Ended::Disconnected) => None,
        })
    }

    /// The upstream's response, when it comes.
    async fn respond(&self, contexts: &mut Contexts, answer: &Answer) -> Result<Reply, Ended> {
        let reply = self.upstream.received.as_ref().map(|received| answer(received)).ok_or(Ended::Closed)?;
        self.client.let_pass(contexts, &self.progress, reply.after).await?;
        Ok(reply)
    }

    /// Takes the upstream's response through the filters. What the client receives.
    async fn response(&mut self, contexts: &mut Contexts, reply: &Reply) -> Result<Option<Received>, NotPlayed> {
        if let Some(why) = codec::not_played(reply, &self.client.request) {
            return Err(why);
        }
        let protocol = self.client.request.protocol;
        let method = self.upstream.received.as_ref().and_then(|received| received.header(":method"));
        let is_head = method.is_some_and(|method| method == "HEAD");
        let decoded = match codec::decode_response(reply, &self.client.request, is_head) {
            Ok(decoded) => decoded,
            Err(unfit) => {
                let (flag, reply) = match unfit {
                    codec::Unfit::Malformed => (UPSTREAM_PROTOCOL_ERROR, wire::upstream_protocol_error()),
                    codec::Unfit::TooMany => (UPSTREAM_REMOTE_RESET, wire::upstream_remote_reset()),
                };
                contexts.with_info(|info| info.flags |= flag);
                return Ok(Some(self.local_reply(contexts, &reply).await));
            }
        };
        let codec::Response { mut map, end, body, trailers, broken } = decoded;
        map.overwrite(b"x-envoy-upstream-service-time", wire::SERVICE_TIME.as_bytes());
        if !contexts.with_side(Which::Request, |side| side.arrived) {
            // Envoy counts from the end of the request.
            map.remove(b"x-envoy-upstream-service-time");
        }
        let now = contexts.now();
        contexts.with_stream(|stream| {
            stream.response_started = true;
            stream.info.times.response_began = Some(now);
            stream.info.code = Some((reply.status.into(), b"via_upstream".to_vec()));
            stream.info.whose = if end { Whose::Ended } else { Whose::Upstreams };
        });
        let mut incoming = Incoming::of(&body, &trailers, protocol, contexts.now());
        let upgraded = self.client.request.is_tunneled_by(reply.status) && self.client.is_over_http1();
        if upgraded {
            incoming.tunneled(self.client.request.is_upgrade());
        }
        if reply.cut_off || upgraded {
            incoming.cut_off();
            incoming.cut_reason = match protocol {
                _ if upgraded => None,
                Protocol::Http1 => Some((UPSTREAM_PROTOCOL_ERROR, "protocol_error")),
                Protocol::Http2 => {
                    incoming.send_something(contexts.now());
                    Some((UPSTREAM_CONNECTION_TERMINATION, "connection_termination"))
                }
            };
        }
        if let Some(broken) = broken {
            incoming.break_off(broken);
        }
        // What was meant for a tunnel does not follow if the upstream declines it.
        let request = &self.client.request;
        let declines = request.is_tunnel() && !request.is_tunneled_by(reply.status);
        let rest = self.rest.take().filter(|_| !declines).map(|rest| (rest, &mut self.upstream));
        let playback = Playback::new(contexts, (&self.client, &self.progress), Which::Response, map, end);
        let played = playback.play(&reply.metadata, (!end).then_some(incoming), rest).await;
        let (map, is_paused) = contexts.with_side(Which::Response, |side| (side.take_headers(), !side.gone));
        let Some(map) = map else { return Ok(None) };
        if is_paused {
            // What the filter still pauses is what access logs see, unless something replaces it.
            contexts.with_stream(|stream| stream.logged.1 = Some(map.clone()));
        }
        let finished = self.client.finished(contexts, &map);
        Ok(match played {
            Ok(Forwarded { body, trailers }) => {
                if !is_head {
                    self.check_length(contexts, &finished, &body);
                }
                self.log_response(contexts, &finished, trailers.as_ref());
                let request = &self.client.request;
                // What the filter made a `HEAD` has no body, which the client waits for.
                let waits = self.client.is_over_http1()
                    && request.method != "HEAD"
                    && is_head
                    && finished.get(b"content-length").is_some_and(|length| length != b"0");
                Some(wire::client(&finished, &body, trailers.as_ref(), end, !waits, request))
            }
            Err(Interrupted { why, .. }) if is_paused => match why {
                Ended::Reply(reply) => Some(self.replaced(contexts, &reply)),
                Ended::Failed => Some(self.vm_failed(contexts)),
                Ended::Closed | Ended::Disconnected => None,
            },
            Err(Interrupted { why, body }) => {
                if let Ended::Reply(reply) = why {
                    contexts.with_info(|info| {
                        info.code = info.code.take().map(|(code, _)| (code, reply.details.clone()));
                    });
                }
                self.log_response(contexts, &finished, None);
                let length = finished.get(b"content-length");
                let has_all = length.is_some_and(|length| length == body.len().to_string().as_bytes());
                let is_bodiless = finished.get(b":status").is_some_and(|status| status == b"204" || status == b"304");
                // Only the end of the connection is the end of another protocol.
                let complete = upgraded || (self.client.is_over_http1() && (has_all || is_bodiless));
                Some(wire::client(&finished, &body, None, false, complete, &self.client.request))
            }
        })
    }

    /// A response that is not the upstream's, through the filters' response callbacks.
    async fn local_reply(&mut self, contexts: &mut Contexts, reply: &LocalReply) -> Received {
        // No more of the request comes.
        self.rest = None;
        let reply = self.client.readable(reply);
        contexts.note_local_reply(&reply);
        contexts.with_stream(|stream| stream.response_started = true);
        let end = self.client.request.method == "HEAD" || reply.body.is_empty();
        let incoming = (!end).then(|| Incoming::at_once(reply.body.clone()));
        let map = wire::local_reply_map(&reply);
        let playback = Playback::new(contexts, (&self.client, &self.progress), Which::Response, map, end);
        let body = match playback.play(&Vec::new(), incoming, None).await {
            Ok(forwarded) => forwarded.body,
            Err(Interrupted { why, .. }) => match why {
                Ended::Reply(second) => return self.replaced(contexts, &second),
                Ended::Failed => return self.vm_failed(contexts),
                Ended::Closed | Ended::Disconnected => Vec::new(),
            },
        };
        let map = contexts.with_side(Which::Response, Side::take_headers);
        let finished = self.client.finished(contexts, &map.unwrap_or_else(|| wire::local_reply_map(&reply)));
        self.check_length(contexts, &finished, &body);
        self.log_response(contexts, &finished, None);
        wire::client(&finished, &body, None, end, true, &self.client.request)
    }

    /// Notes a length of a response that is not the body's.
    fn check_length(&self, contexts: &Contexts, headers: &Map, body: &[u8]) {
        let is_bodiless = headers.get(b":status").is_some_and(|status| status == b"204" || status == b"304");
        if self.client.request.method != "HEAD"
            && !is_bodiless
            && let Some(text) = valid::wrong_length("response", headers, body)
        {
            contexts.violation(Rule::Message, text);
        }
    }

    /// A local reply in place of a response whose headers callback has run: it is not called again.
    fn replaced(&mut self, contexts: &Contexts, reply: &LocalReply) -> Received {
        let reply = self.client.readable(reply);
        contexts.note_local_reply(&reply);
        let finished = self.client.finished(contexts, &wire::local_reply_map(&reply));
        self.log_response(contexts, &finished, None);
        self.client.receive(&finished, &reply)
    }

    /// The VM failed during this stream: the client gets a 503, and no callback runs any more.
    fn vm_failed(&mut self, contexts: &Contexts) -> Received {
        self.replaced(contexts, &wire::failed())
    }

    /// The local reply to a request that never reaches the filters.
    fn refused(&self, contexts: &Contexts, refusal: Refusal) -> Received {
        let Refusal { reply, flags, logged, closes } = refusal;
        let request = &self.client.request;
        let reply = if logged.is_some() { wire::local_reply(&reply, request) } else { reply };
        contexts.note_local_reply(&reply);
        upstream::select(contexts, logged.as_ref());
        contexts.with_stream(|stream| {
            stream.info.route = std::mem::replace(&mut stream.info.route, Found::Nothing).without_route();
            stream.info.flags |= flags;
            stream.logged.0 = logged;
        });
        let closes = closes && self.client.is_over_http1();
        let finished = wire::finished(&wire::local_reply_map(&reply), closes, request.protocol, contexts.wall());
        self.log_response(contexts, &finished, None);
        self.client.receive(&finished, &reply)
    }

    /// Notes what access logs see of the response, and what is wrong with it.
    fn log_response(&self, contexts: &Contexts, headers: &Map, trailers: Option<&Map>) {
        let status = headers.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        contexts.with_info(|info| {
            if let (Some((code, _)), Some(status)) = (&mut info.code, status) {
                *code = status;
            }
        });
        let odd_status = valid::odd_status(status.unwrap_or_default(), &self.client.request);
        let odd_trailers = trailers.and_then(|trailers| valid::odd_fields("response's trailers", trailers));
        for text in [odd_status, valid::odd_fields("response", headers), odd_trailers].into_iter().flatten() {
            contexts.violation(Rule::Message, text);
        }
        contexts.with_stream(|stream| {
            stream.logged.1 = Some(headers.clone());
            stream.logged.2 = trailers.cloned();
        });
    }
}

/// The end of the stream, in Envoy's order.
fn close(contexts: &mut Contexts) {
    contexts.with_stream(|stream| {
        if stream.logged.0.is_none() {
            stream.logged.0.clone_from(&stream.request.headers.value);
        }
        stream.info.held = !stream.request.gone && stream.request.headers.value.is_some();
        // Headers and trailers that a filter has paused, or made, stay available to it.
        stream.request.body.close();
        stream.response.body.close();
    });
    contexts.close();
}
