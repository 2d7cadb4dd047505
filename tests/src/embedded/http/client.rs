//! The client of one exchange: how long it waits, and whether its connection is closed.

use super::contexts::{Contexts, Ended};
use super::progress::Progress;
use crate::embedded::clock::PAUSE;
use crate::embedded::fields::Map;
use crate::embedded::flags::DOWNSTREAM_CONNECTION_TERMINATION;
use crate::embedded::stream::{LocalReply, Which};
use crate::embedded::wire;
use crate::message::{Answered, Body, Protocol, Received, Request};
use std::time::Duration;

/// How long a client waits unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(5);
const BAD_REQUEST: u32 = 400;

/// The client of one exchange.
pub(super) struct Client {
    pub(super) request: Request,
    /// When it disconnects if nothing is forwarded to it.
    until: Duration,
    /// The client or Envoy closes the connection after this message.
    pub(super) closes: bool,
}

impl Client {
    /// A client that begins to send now.
    pub(super) fn new(request: &Request, now: Duration) -> Self {
        let parts = match &request.body {
            _ if request.answered != Answered::Complete => request.answered.chunks().unwrap_or_default(),
            Body::Absent => 0,
            Body::Sized(_) => 1,
            Body::Chunked(chunks) => chunks.len() + 1,
        };
        let parts = u32::try_from(parts + usize::from(!request.trailers.is_empty())).unwrap_or(u32::MAX);
        let until = now + PAUSE * parts + request.disconnect_after.unwrap_or(LIMIT);
        Self { request: request.clone(), until, closes: false }
    }

    pub(super) const fn is_over_http1(&self) -> bool {
        matches!(self.request.protocol, Protocol::Http1)
    }

    /// The time of its disconnect if no more data is forwarded to it. Unless the test sets a time,
    /// each part of the response restarts the period.
    pub(super) fn until(&self, contexts: &Contexts) -> Duration {
        let forwarded = contexts.with_side(Which::Response, |side| side.forwarded_at);
        match (forwarded, self.request.disconnect_after) {
            (Some(forwarded), None) => forwarded + LIMIT,
            _ => self.until,
        }
    }

    /// Lets time pass. Callbacks that are due run, and may make a local reply or close the stream.
    pub(super) async fn let_pass(
        &self,
        contexts: &mut Contexts,
        progress: &Progress,
        time: Duration,
    ) -> Result<(), Ended> {
        let time = contexts.now() + time;
        contexts.notify_of_items();
        contexts.asked()?;
        let disconnects = self.until(contexts);
        let end = time.min(disconnects);
        while progress.next_event(end.max(contexts.now())).await {
            contexts.asked()?;
        }
        contexts.go_on_to(end);
        if disconnects < time { Err(self.disconnect(contexts)) } else { Ok(()) }
    }

    /// Nothing more comes that the client could wait for.
    pub(super) fn give_up(&self, contexts: &Contexts) -> Ended {
        if self.request.disconnect_after.is_some() {
            contexts.go_on_to(self.until(contexts));
        }
        self.disconnect(contexts)
    }

    /// The client disconnects.
    pub(super) fn disconnect(&self, contexts: &Contexts) -> Ended {
        contexts.note_pending(self.until(contexts).max(contexts.now()));
        contexts.with_info(|info| {
            info.flags |= DOWNSTREAM_CONNECTION_TERMINATION;
            let code = info.code.as_ref().map_or(0, |(code, _)| *code);
            info.code = Some((code, b"downstream_remote_disconnect".to_vec()));
        });
        Ended::Disconnected
    }

    /// A local reply as this client can read it. Envoy closes the connection after some.
    pub(super) fn readable(&mut self, reply: &LocalReply) -> LocalReply {
        self.closes |= reply.status == BAD_REQUEST;
        wire::local_reply(reply, &self.request)
    }

    /// Response headers with what Envoy adds last.
    pub(super) fn finished(&self, contexts: &Contexts, map: &Map) -> Map {
        let is_early = !contexts.with_side(Which::Request, |side| side.arrived);
        wire::finished(map, self.is_over_http1() && (self.closes || is_early), self.request.protocol, contexts.wall())
    }

    /// A local reply as the client receives it.
    pub(super) fn receive(&self, finished: &Map, reply: &LocalReply) -> Received {
        let body = if self.request.method == "HEAD" { &[][..] } else { &reply.body };
        wire::client(finished, body, None, reply.body.is_empty(), true, &self.request)
    }
}
