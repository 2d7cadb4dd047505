//! One HTTP stream, from the client's request to the deletion of its context.

use super::attribute::{Info, Whose};
use super::body::Passed;
use super::fields::Map;
use super::functions::Functions;
use super::state::{LocalReply, Phase, Side, Stream};
use super::time;
use super::vm::Vm;
use super::wire;
use crate::backend::Answer;
use crate::message::{Body, Fields, Protocol, Received, Reply, Request};
use proxy_filter::sys::HostFunctions;

/// Which message of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Request,
    Response,
}

impl Which {
    /// The name of a callback of this side.
    pub(super) fn name(self, part: &str) -> String {
        match self {
            Self::Request => format!("proxy_on_request_{part}"),
            Self::Response => format!("proxy_on_response_{part}"),
        }
    }
}

/// Why a message does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The module answered itself, or Envoy does.
    Reply(LocalReply),
    /// The module closed the stream.
    Closed,
    /// The module stopped the message, and nothing continues it: the client gives up in the end.
    Stuck,
    /// The VM failed.
    Failed,
}

/// A bit of `ResponseFlags`.
const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
/// A bit of `ResponseFlags`.
const NO_ROUTE_FOUND: u64 = 1 << 8;
/// Envoy's default for `per_connection_buffer_limit_bytes`.
pub(super) const BUFFER_LIMIT: u32 = 1024 * 1024;

/// The stream that is being played.
pub(super) struct Exchange<'a> {
    vm: &'a mut Vm,
    functions: &'a Functions,
    id: u32,
    request: &'a Request,
    /// What had gone on of a message when it ended early.
    pub(super) cut: Vec<u8>,
    upstream: Option<Received>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(vm: &'a mut Vm, functions: &'a Functions, id: u32, request: &'a Request) -> Self {
        Self { vm, functions, id, request, cut: Vec::new(), upstream: None }
    }

    /// Plays the stream. What the client received, and what the upstream did.
    pub(super) fn play(mut self, answer: &Answer) -> (Option<Received>, Option<Received>) {
        let started = self.functions.proxy_get_current_time_nanoseconds().unwrap_or_default();
        let root = {
            let mut state = self.functions.state();
            state.stream = Some(Stream::new(self.id));
            state.root
        };
        self.with_info(|info| (info.protocol, info.started) = (self.request.protocol, started));
        if self.request.authority.is_none() && self.request.protocol == Protocol::Http2 {
            return (None, None);
        }
        self.vm.call("proxy_on_context_create", &[self.id, root]);
        let client = match &self.request.authority {
            None => Some(self.refused()),
            Some(authority) => self.forward(authority, answer),
        };
        self.end();
        self.tell();
        (client, self.upstream)
    }

    /// Queued items are told when Envoy has worked off what it has read: the head, a piece of the body, or the end and what follows it.
    pub(super) fn tell(&mut self) {
        let root = self.functions.state().root;
        time::tell(self.vm, self.functions, root);
    }

    /// The request on its way to the upstream, and the response back.
    fn forward(&mut self, authority: &str, answer: &Answer) -> Option<Received> {
        match self.request(authority) {
            Ok(()) => {}
            Err(Ended::Reply(reply)) => return Some(self.local_reply(&reply)),
            Err(Ended::Failed) => return Some(self.vm_failed()),
            Err(Ended::Closed | Ended::Stuck) => return None,
        }
        self.tell();
        let reply = self.upstream.as_ref().map(|received| answer(received))?;
        if reply.reset {
            self.with_info(|info| info.flags |= UPSTREAM_CONNECTION_TERMINATION);
            let reply = wire::upstream_reset();
            return Some(self.local_reply(&reply));
        }
        self.response(&reply)
    }

    /// Takes the request through the filter and to the upstream.
    fn request(&mut self, authority: &str) -> Result<(), Ended> {
        let request = self.request;
        let map = wire::request_map(request, authority);
        let end = wire::ends_with_headers(&request.body, &request.trailers);
        self.headers(Which::Request, map, end)?;
        // Held headers reach the router with the body.
        let held = self.with_side(Which::Request, |side| side.headers.open);
        if !held {
            self.route()?;
        }
        let passed = if end {
            Passed::default()
        } else {
            self.tell();
            let pieces = wire::pieces(&request.body, !request.trailers.is_empty(), request.protocol);
            let apart = matches!(request.body, Body::Chunked(_));
            self.pass(Which::Request, pieces, &request.trailers, apart).inspect_err(|_| self.abandon_upstream())?
        };
        if held {
            self.route()?;
        }
        let map = self
            .with_side(Which::Request, |side| side.headers.take())
            .unwrap_or_else(|| Map::new(super::fields::Kind::Request));
        let routed = wire::routed(&map);
        self.check_length("request", &routed, &passed.body);
        self.upstream = Some(wire::upstream(&routed, &passed.body, passed.trailers.as_ref(), true, request.protocol));
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = Some(routed);
        }
        Ok(())
    }

    /// The router looks for a route when the headers reach it. Envoy finds none without these fields, whatever the routes say.
    fn route(&self) -> Result<(), Ended> {
        let routable = self.with_side(Which::Request, |side| {
            let headers = side.headers.value.as_ref();
            [&b":path"[..], b"x-forwarded-proto"].iter().all(|name| headers.is_some_and(|map| map.get(name).is_some()))
        });
        self.with_info(|info| {
            (info.routed, info.upstream) = (routable, routable);
            info.flags |= if routable { 0 } else { NO_ROUTE_FOUND };
        });
        if routable { Ok(()) } else { Err(Ended::Reply(wire::no_route())) }
    }

    /// The request ends early. If its headers had gone on, the upstream has seen a part of it, unless all came in one segment.
    fn abandon_upstream(&mut self) {
        let headers = self.with_side(Which::Request, |side| side.headers.value.clone().filter(|_| !side.headers.open));
        let Some(headers) = headers else { return };
        let routed = wire::routed(&headers);
        let one_segment = self.request.protocol == Protocol::Http1 && matches!(self.request.body, Body::Sized(_));
        if !one_segment {
            self.upstream = Some(wire::upstream(&routed, &self.cut, None, false, self.request.protocol));
        }
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.0 = Some(routed);
        }
    }

    /// Takes the upstream's response through the filter.
    fn response(&mut self, reply: &Reply) -> Option<Received> {
        let map = wire::response_map(reply, self.request.protocol);
        let bodiless = self.request.method == "HEAD" || reply.status == 204 || reply.status == 304;
        let end = bodiless || wire::ends_with_headers(&reply.body, &reply.trailers);
        if let Some(stream) = &mut self.functions.state().stream {
            stream.response_started = true;
        }
        self.with_info(|info| {
            info.code = Some((reply.status.into(), b"via_upstream".to_vec()));
            info.whose = if end { Whose::Ended } else { Whose::Upstreams };
        });
        let passed = self.headers(Which::Response, map, end).and_then(|()| {
            if end {
                return Ok(Passed::default());
            }
            self.tell();
            let pieces = wire::pieces(&reply.body, !reply.trailers.is_empty(), self.request.protocol);
            self.pass(Which::Response, pieces, &reply.trailers, matches!(reply.body, Body::Chunked(_)))
        });
        let (map, held) = self.with_side(Which::Response, |side| {
            let held = side.headers.open;
            (side.headers.take(), held)
        });
        let finished = wire::finished(&map?);
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
            Err(Ended::Closed | Ended::Stuck) if held => None,
            Err(_) => {
                self.log_response(&finished, None);
                let complete = self.request.protocol == Protocol::Http1
                    && finished
                        .get(b"content-length")
                        .is_some_and(|length| length == self.cut.len().to_string().as_bytes());
                Some(wire::client(&finished, &self.cut, None, false, complete, self.request))
            }
        }
    }

    /// Takes headers through the filter. They stay in the side, out of the module's reach once they have gone on.
    fn headers(&mut self, which: Which, map: Map, end: bool) -> Result<(), Ended> {
        let count = map.len();
        self.with_side(which, |side| side.headers.show(map));
        let phase = match which {
            Which::Request => Phase::RequestHeaders,
            Which::Response => Phase::ResponseHeaders,
        };
        let raw = self.callback(phase, &which.name("headers"), &[count, u32::from(end)])?;
        let continued = self.with_side(which, |side| std::mem::take(&mut side.continued));
        let holds_until_body = raw == 1 && self.functions.state().settings.allow_on_headers_stop_iteration;
        match raw {
            // 2 is ContinueAndEndStream, which Envoy treats as Continue.
            0 | 2 => {}
            _ if continued => {}
            _ if holds_until_body && !end => return Ok(()),
            _ => return Err(Ended::Stuck),
        }
        self.release(which);
        Ok(())
    }

    /// The filter lets the headers go.
    pub(super) fn release(&mut self, which: Which) {
        self.with_side(which, |side| side.headers.open = false);
    }

    /// An answer that is not the upstream's, through the filter's response callbacks.
    fn local_reply(&mut self, reply: &LocalReply) -> Received {
        let reply = wire::as_grpc(reply, self.request);
        self.tell_code(&reply);
        let map = wire::local_reply_map(&reply);
        let head = self.request.method == "HEAD";
        let end = head || reply.body.is_empty();
        if let Some(stream) = &mut self.functions.state().stream {
            stream.response_started = true;
        }
        let mut passed = Passed::default();
        let result = self.headers(Which::Response, map, end).and_then(|()| {
            if !end {
                passed = self.pass(Which::Response, vec![(reply.body.clone(), true)], &Fields::new(), false)?;
            }
            Ok(())
        });
        match result {
            Err(Ended::Reply(second)) => return self.replaced(&second),
            Err(Ended::Failed) => return self.vm_failed(),
            _ => {}
        }
        let map = self.with_side(Which::Response, |side| side.headers.take());
        let finished = wire::finished(&map.unwrap_or_else(|| wire::local_reply_map(&reply)));
        self.log_response(&finished, None);
        wire::client(&finished, &passed.body, None, end, true, self.request)
    }

    /// A local reply in place of a response whose headers callback has run: it is not called again.
    fn replaced(&mut self, reply: &LocalReply) -> Received {
        let reply = wire::as_grpc(reply, self.request);
        self.tell_code(&reply);
        let finished = wire::finished(&wire::local_reply_map(&reply));
        self.log_response(&finished, None);
        let body = if self.request.method == "HEAD" { &[][..] } else { &reply.body };
        wire::client(&finished, body, None, reply.body.is_empty(), true, self.request)
    }

    /// The VM failed during this stream: the client gets a 503, and the module nothing more.
    fn vm_failed(&mut self) -> Received {
        self.replaced(&wire::failed())
    }

    /// A request without a host never reaches the filters.
    fn refused(&mut self) -> Received {
        let reply = wire::no_host();
        self.tell_code(&reply);
        self.with_info(|info| info.routed = false);
        let finished = wire::finished(&wire::local_reply_map(&reply));
        let client = wire::client(&finished, &[], None, true, true, self.request);
        self.log_response(&finished, None);
        client
    }

    fn log_response(&mut self, headers: &Map, trailers: Option<&Map>) {
        if let Some(stream) = &mut self.functions.state().stream {
            stream.logged.1 = Some(headers.clone());
            stream.logged.2 = trailers.cloned();
        }
    }

    /// The end of the stream, in Envoy's order.
    fn end(&mut self) {
        if let Some(stream) = &mut self.functions.state().stream {
            if stream.logged.0.is_none() {
                stream.logged.0.clone_from(&stream.request.headers.value);
            }
            stream.info.held = stream.request.headers.open;
            stream.request.close();
            stream.response.close();
        }
        for (phase, name) in
            [(Phase::Log, "proxy_on_log"), (Phase::Done, "proxy_on_done"), (Phase::Delete, "proxy_on_delete")]
        {
            let _ = self.callback(phase, name, &[]);
        }
    }

    /// Enters a callback of the stream, then does what it asked for: its result, or why the message does not go on.
    pub(super) fn callback(&mut self, phase: Phase, name: &str, arguments: &[u32]) -> Result<u32, Ended> {
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        if let Some(stream) = &mut self.functions.state().stream {
            stream.phase = phase;
        }
        let arguments: Vec<u32> = std::iter::once(self.id).chain(arguments.iter().copied()).collect();
        let raw = self.vm.call(name, &arguments).unwrap_or_default();
        if self.vm.failed() {
            return Err(Ended::Failed);
        }
        let mut state = self.functions.state();
        let Some(stream) = &mut state.stream else { return Ok(raw) };
        stream.phase = Phase::Idle;
        if std::mem::take(&mut stream.closed) {
            return Err(Ended::Closed);
        }
        match stream.local_reply.take() {
            Some(reply) => Err(Ended::Reply(reply)),
            None => Ok(raw),
        }
    }

    pub(super) fn with_side<T>(&self, which: Which, body: impl FnOnce(&mut Side) -> T) -> T {
        let mut state = self.functions.state();
        let stream = state.stream.get_or_insert_with(|| Stream::new(self.id));
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
