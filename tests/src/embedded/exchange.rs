//! One HTTP stream, from the client's request to the deletion of its context.

use super::fields::Map;
use super::flow::Rest;
use super::functions::Functions;
use super::incoming::Incoming;
use super::info::{Info, Whose};
use super::pause::Patience;
use super::stream::{LocalReply, Phase, Side, Stream, Which};
use super::valid;
use super::vm::Vm;
use super::wire;
use crate::backend::Answer;
use crate::message::{Protocol, Received, Reply, Request};

/// Why a message does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The module answered itself, or Envoy does.
    Reply(LocalReply),
    /// The module closed the stream.
    Closed,
    /// The client left: nothing continued the message, or nobody answered, for too long.
    Left,
    /// The VM failed.
    Failed,
}

/// A bit of `ResponseFlags`.
pub(super) const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
/// A bit of `ResponseFlags`.
const NO_ROUTE_FOUND: u64 = 1 << 8;
/// A bit of `ResponseFlags`.
const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
/// Envoy's default for `per_connection_buffer_limit_bytes`.
pub(super) const BUFFER_LIMIT: u32 = 1024 * 1024;

/// The stream that is being played.
pub(super) struct Exchange<'a> {
    pub(super) vm: &'a mut Vm,
    pub(super) functions: &'a Functions,
    /// The filter whose callback runs: the id of its context.
    pub(super) filter: u32,
    pub(super) request: &'a Request,
    pub(super) patience: Patience,
    /// What had gone on of a message when it ended early.
    pub(super) cut: Vec<u8>,
    pub(super) upstream: Option<Received>,
    /// What comes of the request after the response has begun.
    pub(super) rest: Option<Rest>,
}

impl Exchange<'_> {
    /// The upstream's answer, and the response on its way back.
    pub(super) fn forward(&mut self, asked: Result<(), Ended>, answer: &Answer) -> Option<Received> {
        let asked = asked.and_then(|()| {
            // Meanwhile the module may have answered or closed the stream.
            self.asked()?;
            let reply = self.upstream.as_ref().map(|received| answer(received)).ok_or(Ended::Closed)?;
            self.let_pass(reply.after)?;
            Ok(reply)
        });
        match asked {
            Ok(reply) if reply.reset => {
                self.with_info(|info| info.flags |= UPSTREAM_CONNECTION_TERMINATION);
                Some(self.local_reply(&wire::upstream_reset()))
            }
            Ok(reply) => self.response(&reply),
            Err(Ended::Reply(reply)) => Some(self.local_reply(&reply)),
            Err(Ended::Failed) => Some(self.vm_failed()),
            Err(Ended::Closed | Ended::Left) => None,
        }
    }

    /// Takes the request through the filter and to the upstream.
    pub(super) fn request(&mut self, authority: &str) -> Result<(), Ended> {
        let request = self.request;
        let map = wire::request_map(request, authority);
        let end = wire::ends_with_headers(&request.body, &request.trailers);
        let incoming = Incoming::of(&request.body, &request.trailers, request.protocol, self.now());
        let early = request.answered.chunks().filter(|_| !end || request.is_upgrade());
        let passed = match early {
            Some(chunks) => self.begin_request(map, incoming, chunks),
            None => self.flow(Which::Request, map, &request.metadata, (!end).then_some(incoming)),
        };
        let early = early.is_some();
        let passed = passed.inspect_err(|_| self.abandon_upstream())?;
        let map = self
            .with_side(Which::Request, Side::take_headers)
            .unwrap_or_else(|| Map::new(super::fields::Kind::Request));
        let routed = wire::routed(&map);
        if !early {
            self.check_length("request", &routed, &passed.body);
        }
        if request.protocol == Protocol::Http1 && valid::is_line_misread(&routed) {
            let part = |name: &[u8]| routed.get(name).unwrap_or_default().escape_ascii().to_string();
            let line = format!("{} {}", part(b":method"), part(b":path"));
            self.functions.state().violations.push(format!(
                "the request line begins with `{line}`, which the upstream would read in another way than it was meant"
            ));
        }
        if let Some(trailers) = &passed.trailers {
            self.check_fields("request's trailers", trailers);
        }
        self.upstream = Some(wire::upstream(&routed, &passed.body, passed.trailers.as_ref(), !early, request.protocol));
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = Some(routed);
            stream.asked = true;
        }
        Ok(())
    }

    /// The router looks for a route when the headers reach it. Envoy finds none without these fields, whatever the routes say.
    pub(super) fn route(&self) -> Result<(), Ended> {
        let routable = self.with_side(Which::Request, |side| {
            let headers = side.headers.value.as_ref();
            [&b":path"[..], b"x-forwarded-proto"].iter().all(|name| headers.is_some_and(|map| map.get(name).is_some()))
        });
        self.with_info(|info| {
            (info.routed, info.upstream) = (routable, routable);
            info.flags |= if routable { 0 } else { NO_ROUTE_FOUND };
        });
        if !routable {
            return Err(Ended::Reply(wire::no_route()));
        }
        let refusal = self.with_side(Which::Request, |side| side.headers.value.as_ref().and_then(valid::refusal));
        match refusal {
            Some(refusal) => {
                self.with_info(|info| (info.upstream, info.flags) = (false, info.flags | UPSTREAM_PROTOCOL_ERROR));
                Err(Ended::Reply(wire::refused(refusal)))
            }
            None => Ok(()),
        }
    }

    /// The request ends early. If its headers had gone on, the upstream has seen a part of it.
    fn abandon_upstream(&mut self) {
        let mut sent = false;
        self.with_info(|info| sent = info.upstream);
        let headers = self.with_side(Which::Request, |side| side.headers.value.clone().filter(|_| side.gone && sent));
        let Some(headers) = headers else { return };
        let routed = wire::routed(&headers);
        self.upstream = Some(wire::upstream(&routed, &self.cut, None, false, self.request.protocol));
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = Some(routed);
        }
    }

    /// Takes the upstream's response through the filter.
    fn response(&mut self, reply: &Reply) -> Option<Received> {
        let mut map = wire::response_map(reply, self.request.protocol);
        if self.upstream.as_ref().is_some_and(|upstream| !upstream.complete) {
            // Envoy counts from the end of the request.
            map.remove(b"x-envoy-upstream-service-time");
        }
        let bodiless = self.request.method == "HEAD" || reply.status == 204 || reply.status == 304;
        let end = bodiless || (wire::ends_with_headers(&reply.body, &reply.trailers) && !reply.cut_off);
        if let Some(stream) = &mut self.functions.state().stream {
            stream.response_started = true;
        }
        self.with_info(|info| {
            info.code = Some((reply.status.into(), b"via_upstream".to_vec()));
            info.whose = if end { Whose::Ended } else { Whose::Upstreams };
        });
        let mut incoming = Incoming::of(&reply.body, &reply.trailers, self.request.protocol, self.now());
        let upgraded = reply.status == wire::SWITCHING_PROTOCOLS;
        if upgraded {
            incoming.upgraded();
        }
        if reply.cut_off || upgraded {
            incoming.cut_off();
        }
        let passed = self.flow(Which::Response, map, &reply.metadata, (!end).then_some(incoming));
        let (map, held) = self.with_side(Which::Response, |side| (side.take_headers(), !side.gone));
        let map = map?;
        if held && let Some(stream) = &mut self.functions.state().stream {
            // What the filter still holds is what access logs see, unless something replaces it.
            stream.logged.1 = Some(map.clone());
        }
        let finished = wire::finished(&map);
        match passed {
            Ok(passed) => {
                if !end {
                    self.check_length("response", &finished, &passed.body);
                }
                self.log_response(&finished, passed.trailers.as_ref());
                Some(wire::client(&finished, &passed.body, passed.trailers.as_ref(), end, true, self.request))
            }
            Err(Ended::Reply(reply)) if held => Some(self.replaced(&reply)),
            Err(Ended::Failed) if held => Some(self.vm_failed()),
            Err(Ended::Closed | Ended::Left) if held => None,
            Err(_) => {
                self.log_response(&finished, None);
                let complete = self.request.protocol == Protocol::Http1
                    && finished
                        .get(b"content-length")
                        .is_some_and(|length| length == self.cut.len().to_string().as_bytes());
                // Only the end of the connection is the end of another protocol.
                let complete = complete || upgraded;
                Some(wire::client(&finished, &self.cut, None, false, complete, self.request))
            }
        }
    }

    pub(super) fn log_response(&mut self, headers: &Map, trailers: Option<&Map>) {
        self.check_fields("response", headers);
        if let Some(trailers) = trailers {
            self.check_fields("response's trailers", trailers);
        }
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.1 = Some(headers.clone());
            stream.logged.2 = trailers.cloned();
        }
    }

    /// The end of the stream, in Envoy's order.
    pub(super) fn end(&mut self) {
        if let Some(stream) = &mut self.functions.state().stream {
            if stream.logged.0.is_none() {
                stream.logged.0.clone_from(&stream.request.headers.value);
            }
            stream.info.held = !stream.request.gone && stream.request.headers.value.is_some();
            stream.request.close();
            stream.response.close();
        }
        self.close_filters();
    }

    /// Enters a callback of the stream, then does what it asked for: its result, or why the message does not go on.
    pub(super) fn callback(&mut self, phase: Phase, name: &str, arguments: &[u32]) -> Result<u32, Ended> {
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        self.set_phase(phase);
        let arguments: Vec<u32> = std::iter::once(self.filter).chain(arguments.iter().copied()).collect();
        let raw = self.vm.call(name, &arguments).unwrap_or_default();
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        let now = self.now();
        if let Some(stream) = &mut self.functions.state().stream {
            stream.returned(name, self.filter, raw, now);
        }
        self.set_phase(Phase::Idle);
        self.asked()?;
        Ok(raw)
    }

    /// Whether the module has closed the stream, or answered it, since this was last asked.
    pub(super) fn asked(&self) -> Result<(), Ended> {
        let mut state = self.functions.state();
        let Some(stream) = &mut state.stream else { return Ok(()) };
        if std::mem::take(&mut stream.closed) {
            return Err(Ended::Closed);
        }
        stream.local_reply.take().map_or(Ok(()), |reply| Err(Ended::Reply(reply)))
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        if let Some(stream) = &mut self.functions.state().stream {
            stream.phase = phase;
        }
    }

    pub(super) fn with_side<T>(&self, which: Which, body: impl FnOnce(&mut Side) -> T) -> T {
        let mut state = self.functions.state();
        let stream = state.stream.get_or_insert_with(|| Stream::new(self.filter));
        body(match which {
            Which::Request => &mut stream.request,
            Which::Response => &mut stream.response,
        })
    }

    pub(super) fn with_info(&self, body: impl FnOnce(&mut Info)) {
        if let Some(stream) = &mut self.functions.state().stream {
            body(&mut stream.info);
        }
    }

    /// What the response is, if it is not the upstream's.
    pub(super) fn tell_code(&self, reply: &LocalReply) {
        self.with_info(|info| {
            info.code = Some((reply.status, reply.details.clone()));
            info.whose = Whose::Own;
        });
    }

    pub(super) fn buffer_limit(&self) -> usize {
        self.functions.state().settings.buffer_limit.unwrap_or(BUFFER_LIMIT) as usize
    }

    /// Envoy writes fields of responses and trailers as they are, and a receiver takes them for others, or refuses the whole message.
    fn check_fields(&self, message: &str, map: &Map) {
        if let Some(odd) = valid::odd_field(map.fields()) {
            self.functions.state().violations.push(format!(
                "the {message} would have the field `{odd}`, which is not valid HTTP: Envoy writes it as it is"
            ));
        }
    }

    /// Envoy never corrects `content-length`: a wrong one breaks the framing, and that is the module's fault.
    fn check_length(&self, message: &str, headers: &Map, body: &[u8]) {
        let Some(announced) = headers.get(b"content-length") else { return };
        if announced != body.len().to_string().as_bytes() {
            self.functions.state().violations.push(format!(
                "the {message}'s content-length is {}, but its body has {} bytes: the next message on the connection would be misread",
                String::from_utf8_lossy(announced),
                body.len()
            ));
        }
    }
}
