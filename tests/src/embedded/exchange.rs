//! One HTTP stream, from the client's request to the deletion of its context.

use super::codec::{self, Head};
use super::fields::Map;
use super::flags::{
    DOWNSTREAM_PROTOCOL_ERROR, NO_ROUTE_FOUND, UPSTREAM_CONNECTION_TERMINATION, UPSTREAM_PROTOCOL_ERROR,
    UPSTREAM_REMOTE_RESET,
};
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
use crate::not_played::NotPlayed;

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
    /// The client asks to close the connection.
    pub(super) closes: bool,
    /// All of the request has come.
    pub(super) arrived: bool,
    /// The host does not play the exchange.
    pub(super) not_played: Option<NotPlayed>,
}

impl<'a> Exchange<'a> {
    /// A stream of which nothing has been played.
    pub(super) fn new(vm: &'a mut Vm, functions: &'a Functions, request: &'a Request, patience: Patience) -> Self {
        Self {
            vm,
            functions,
            filter: 0,
            request,
            patience,
            cut: Vec::new(),
            upstream: None,
            rest: None,
            closes: false,
            arrived: false,
            not_played: None,
        }
    }
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
    pub(super) fn request(&mut self, head: Head) -> Result<(), Ended> {
        let request = self.request;
        let Head { map, end, broken, closes, .. } = head;
        (self.closes, self.arrived) = (closes, end);
        let mut incoming = Incoming::of(&request.body, &request.trailers, request.protocol, self.now());
        incoming.malformed = broken;
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
        if let Some(field) = valid::field_of_hop(&routed, request) {
            self.functions.state().violations.push(format!(
                "the request would have the field `{field}`, which frames a message or switches its protocol: Envoy \
                 writes it as it is, and the upstream waits for what does not come"
            ));
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
        self.upstream = Some(wire::upstream(
            &routed,
            &passed.body,
            passed.trailers.as_ref(),
            !early,
            end && request.protocol == Protocol::Http1,
            request.protocol,
        ));
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
            headers.is_some_and(|map| {
                map.get(b":path").is_some_and(|path| path.starts_with(b"/"))
                    && map.get(b"x-forwarded-proto").is_some_and(|protocol| !protocol.is_empty())
            })
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
                if let Some(stream) = &mut self.functions.state().stream {
                    stream.logged.0 = stream.request.headers.value.as_ref().map(wire::routed);
                }
                self.with_info(|info| (info.upstream, info.flags) = (false, info.flags | DOWNSTREAM_PROTOCOL_ERROR));
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
        self.upstream = Some(wire::upstream(&routed, &self.cut, None, false, false, self.request.protocol));
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = Some(routed);
        }
    }

    /// Takes the upstream's response through the filter.
    fn response(&mut self, reply: &Reply) -> Option<Received> {
        self.not_played = codec::not_played(reply, self.request);
        if self.not_played.is_some() {
            return None;
        }
        let method = self.upstream.as_ref().and_then(|upstream| upstream.header(":method"));
        let is_head = method.is_some_and(|method| method == "HEAD");
        let decoded = match codec::decode_response(reply, self.request.protocol, is_head) {
            Ok(decoded) => decoded,
            Err(unfit) => {
                let (flag, reply) = match unfit {
                    codec::Unfit::Malformed => (UPSTREAM_PROTOCOL_ERROR, wire::upstream_protocol_error()),
                    codec::Unfit::TooMany => (UPSTREAM_REMOTE_RESET, wire::upstream_remote_reset()),
                };
                self.with_info(|info| info.flags |= flag);
                return Some(self.local_reply(&reply));
            }
        };
        let codec::Response { mut map, end, body, trailers, broken } = decoded;
        map.overwrite(b"x-envoy-upstream-service-time", wire::SERVICE_TIME.as_bytes());
        if !self.arrived {
            // Envoy counts from the end of the request.
            map.remove(b"x-envoy-upstream-service-time");
        }
        if let Some(stream) = &mut self.functions.state().stream {
            stream.response_started = true;
        }
        self.with_info(|info| {
            info.code = Some((reply.status.into(), b"via_upstream".to_vec()));
            info.whose = if end { Whose::Ended } else { Whose::Upstreams };
        });
        let mut incoming = Incoming::of(&body, &trailers, self.request.protocol, self.now());
        let upgraded = reply.status == wire::SWITCHING_PROTOCOLS;
        if upgraded {
            incoming.upgraded();
        }
        if reply.cut_off || upgraded {
            incoming.cut_off();
            incoming.cut_reason = match self.request.protocol {
                _ if upgraded => None,
                Protocol::Http1 => Some((UPSTREAM_PROTOCOL_ERROR, "protocol_error")),
                Protocol::Http2 => {
                    incoming.send_something(self.now());
                    Some((UPSTREAM_CONNECTION_TERMINATION, "connection_termination"))
                }
            };
        }
        if let Some(broken) = broken {
            incoming.break_off(broken);
        }
        let passed = self.flow(Which::Response, map, &reply.metadata, (!end).then_some(incoming));
        let (map, held) = self.with_side(Which::Response, |side| (side.take_headers(), !side.gone));
        let map = map?;
        if held && let Some(stream) = &mut self.functions.state().stream {
            // What the filter still holds is what access logs see, unless something replaces it.
            stream.logged.1 = Some(map.clone());
        }
        let finished = self.finished(&map);
        match passed {
            Ok(passed) => {
                if !end {
                    self.check_length("response", &finished, &passed.body);
                }
                self.log_response(&finished, passed.trailers.as_ref());
                // What the filter made a `HEAD` has no body, which the client waits for.
                let waits = self.request.protocol == Protocol::Http1
                    && self.request.method != "HEAD"
                    && is_head
                    && finished.get(b"content-length").is_some_and(|length| length != b"0");
                Some(wire::client(&finished, &passed.body, passed.trailers.as_ref(), end, !waits, self.request))
            }
            Err(Ended::Reply(reply)) if held => Some(self.replaced(&reply)),
            Err(Ended::Failed) if held => Some(self.vm_failed()),
            Err(Ended::Closed | Ended::Left) if held => None,
            Err(ended) => {
                if let Ended::Reply(reply) = ended {
                    self.with_info(|info| {
                        info.code = info.code.take().map(|(code, _)| (code, reply.details.clone()));
                    });
                }
                self.log_response(&finished, None);
                let complete = self.request.protocol == Protocol::Http1
                    && finished
                        .get(b"content-length")
                        .is_some_and(|length| length == self.cut.len().to_string().as_bytes());
                // Only the end of the connection is the end of another protocol.
                let is_bodiless = finished.get(b":status").is_some_and(|status| status == b"204" || status == b"304");
                let complete = complete || upgraded || (is_bodiless && self.request.protocol == Protocol::Http1);
                Some(wire::client(&finished, &self.cut, None, false, complete, self.request))
            }
        }
    }

    pub(super) fn log_response(&mut self, headers: &Map, trailers: Option<&Map>) {
        let status = headers.get(b":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        self.with_info(|info| {
            if let (Some((code, _)), Some(status)) = (&mut info.code, status) {
                *code = status;
            }
        });
        self.check_status(status.unwrap_or_default());
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
            let code = stream.info.code.as_ref().map_or(0, |(code, _)| *code);
            stream.info.code = Some((code, b"wasm_close_stream".to_vec()));
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
        self.functions.state().buffer_limit()
    }

    /// Envoy sends any number as a status.
    fn check_status(&self, status: u32) {
        let upgrades = status == u32::from(wire::SWITCHING_PROTOCOLS) && self.request.is_upgrade();
        if !(200..=999).contains(&status) && !upgrades {
            self.functions.state().violations.push(format!(
                "the response would have the status {status}, which is none of a final response (200 to 999): Envoy \
                 writes it as it is"
            ));
        }
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
        let length = std::str::from_utf8(announced).ok().and_then(|length| length.parse().ok());
        if length != Some(body.len()) {
            self.functions.state().violations.push(format!(
                "the {message}'s content-length is {}, but its body has {} bytes: the next message on the connection would be misread",
                String::from_utf8_lossy(announced),
                body.len()
            ));
        }
    }
}
