//! Answers that are not the upstream's: the module's own, and Envoy's.

use super::codec::Refusal;
use super::exchange::{Ended, Exchange};
use super::fields::Map;
use super::incoming::Incoming;
use super::stream::{LocalReply, Side, Which};
use super::way::Passed;
use super::wire;
use crate::message::{Protocol, Received};

const BAD_REQUEST: u32 = 400;

impl Exchange<'_> {
    /// An answer that is not the upstream's, through the filter's response callbacks.
    pub(super) fn local_reply(&mut self, reply: &LocalReply) -> Received {
        // No more of the request comes.
        self.rest = None;
        // Envoy does not go on with a client that is told so.
        self.closes |= reply.status == BAD_REQUEST;
        let reply = wire::as_grpc(reply, self.request);
        self.tell_code(&reply);
        let map = wire::local_reply_map(&reply);
        let head = self.request.method == "HEAD";
        let end = head || reply.body.is_empty();
        if let Some(stream) = &mut self.functions.state().stream {
            stream.response_started = true;
        }
        let incoming = (!end).then(|| Incoming::at_once(reply.body.clone()));
        let passed = match self.flow(Which::Response, map, &Vec::new(), incoming) {
            Ok(passed) => passed,
            Err(Ended::Reply(second)) => return self.replaced(&second),
            Err(Ended::Failed) => return self.vm_failed(),
            Err(Ended::Closed | Ended::Left) => Passed::default(),
        };
        let map = self.with_side(Which::Response, Side::take_headers);
        let finished = self.finished(&map.unwrap_or_else(|| wire::local_reply_map(&reply)));
        self.log_response(&finished, None);
        wire::client(&finished, &passed.body, None, end, true, self.request)
    }

    /// A local reply in place of a response whose headers callback has run: it is not called again.
    pub(super) fn replaced(&mut self, reply: &LocalReply) -> Received {
        self.closes |= reply.status == BAD_REQUEST;
        let reply = wire::as_grpc(reply, self.request);
        self.tell_code(&reply);
        let finished = self.finished(&wire::local_reply_map(&reply));
        self.log_response(&finished, None);
        let body = if self.request.method == "HEAD" { &[][..] } else { &reply.body };
        wire::client(&finished, body, None, reply.body.is_empty(), true, self.request)
    }

    /// The VM failed during this stream: the client gets a 503, and the module nothing more.
    pub(super) fn vm_failed(&mut self) -> Received {
        self.replaced(&wire::failed())
    }

    /// A request that the host answers never reaches the filters.
    pub(super) fn refused(&mut self, refusal: Refusal) -> Received {
        let Refusal { reply, flags, logged, closes } = refusal;
        let reply = if logged.is_some() { wire::as_grpc(&reply, self.request) } else { reply };
        self.tell_code(&reply);
        self.with_info(|info| (info.routed, info.flags) = (false, info.flags | flags));
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = logged;
        }
        let closes = closes && self.request.protocol == Protocol::Http1;
        let finished = wire::finished(&wire::local_reply_map(&reply), closes, self.request.protocol);
        let body = if self.request.method == "HEAD" { &[][..] } else { &reply.body };
        let client = wire::client(&finished, body, None, reply.body.is_empty(), true, self.request);
        self.log_response(&finished, None);
        client
    }

    /// Response headers with what Envoy adds last.
    pub(super) fn finished(&self, map: &Map) -> Map {
        let early = !self.arrived;
        let protocol = self.request.protocol;
        wire::finished(map, protocol == Protocol::Http1 && (self.closes || early), protocol)
    }
}
