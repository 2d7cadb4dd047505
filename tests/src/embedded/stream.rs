//! One stream of the host: its two messages, the parts that a filter can read now, and the host
//! calls of its filters.

use super::fields::Map;
use super::info::Info;
use crate::message::Fields;
use std::collections::BTreeMap;
use std::time::Duration;

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

/// The callback of the stream that runs now, as far as it decides what is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between callbacks.
    Idle,
    RequestHeaders,
    RequestBody {
        end_of_stream: bool,
    },
    RequestTrailers,
    ResponseHeaders,
    ResponseBody {
        end_of_stream: bool,
    },
    ResponseTrailers,
    /// A callback of a connection, before its end.
    Connection,
    Log,
    Done,
    Delete,
}

/// Something of a message that is available only in some phases.
#[derive(Clone, Debug)]
pub(crate) struct Gated<T> {
    /// What the host has, available or not.
    pub(crate) value: Option<T>,
    /// The contexts to which it is available.
    readers: Vec<u32>,
}

impl<T> Gated<T> {
    pub(crate) const fn empty() -> Self {
        Self { value: None, readers: Vec::new() }
    }

    /// Puts something in that is not available.
    pub(crate) fn put(&mut self, value: T) {
        *self = Self { value: Some(value), readers: Vec::new() };
    }

    /// Puts something in that is available to one context.
    pub(crate) fn show(&mut self, value: T, reader: u32) {
        *self = Self { value: Some(value), readers: vec![reader] };
    }

    /// Makes it available to a context.
    pub(crate) fn show_to(&mut self, reader: u32) {
        self.hide_from(reader);
        self.readers.push(reader);
    }

    /// Makes it unavailable to a context.
    pub(crate) fn hide_from(&mut self, reader: u32) {
        self.readers.retain(|other| *other != reader);
    }

    /// Makes it unavailable.
    pub(crate) fn close(&mut self) {
        self.readers.clear();
    }

    /// Whether it is available to any context.
    pub(crate) fn is_in_reach(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Takes it out; it is not available any more.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.close();
        self.value.take()
    }

    /// Takes it out to be forwarded. A context that it is available to keeps a copy, which it can
    /// read, and change in vain.
    pub(crate) fn forward(&mut self) -> Option<T>
    where
        T: Clone,
    {
        if self.is_in_reach() { self.value.clone() } else { self.take() }
    }

    /// As a context sees it.
    pub(crate) fn get(&self, reader: u32) -> Option<&T> {
        self.value.as_ref().filter(|_| self.readers.contains(&reader))
    }

    /// As a context sees it.
    pub(crate) fn get_mut(&mut self, reader: u32) -> Option<&mut T> {
        self.value.as_mut().filter(|_| self.readers.contains(&reader))
    }
}

/// One message of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) headers: Gated<Map>,
    pub(crate) trailers: Gated<Map>,
    pub(crate) body: Gated<Vec<u8>>,
    /// The contexts for which `proxy_continue_stream` was called for this side.
    pub(crate) continued: Vec<u32>,
    /// The body that a filter sees is what the host buffers for it.
    pub(crate) holds_body: bool,
    /// The headers were forwarded.
    pub(crate) gone: bool,
    /// All of the message has come from its sender.
    pub(super) arrived: bool,
    /// When all filters had forwarded a part of it, the last time.
    pub(super) forwarded_at: Option<Duration>,
    /// The callbacks that paused the message, of each filter one.
    pub(super) held: Vec<Hold>,
    /// The headers as they were forwarded, where the module can still read, and in vain change,
    /// what the host keeps.
    pub(crate) sent: Option<Map>,
    /// The same for trailers.
    pub(crate) sent_trailers: Option<Map>,
}

impl Side {
    const fn new() -> Self {
        Self {
            headers: Gated::empty(),
            trailers: Gated::empty(),
            body: Gated::empty(),
            continued: Vec::new(),
            holds_body: false,
            gone: false,
            arrived: false,
            forwarded_at: None,
            held: Vec::new(),
            sent: None,
            sent_trailers: None,
        }
    }

    /// Takes the trailers out, as they were forwarded if they were.
    pub(crate) fn forward_trailers(&mut self) -> Option<Map> {
        let kept = self.trailers.forward();
        self.sent_trailers.take().or(kept)
    }

    /// Takes the headers out, as they were forwarded if they were.
    pub(crate) fn take_headers(&mut self) -> Option<Map> {
        let kept = self.headers.take();
        self.sent.take().or(kept)
    }

    /// A context continues the message. Only a body that the host buffers stays available to it
    /// until it is forwarded.
    pub(crate) fn continued_by(&mut self, context: u32) {
        self.held.retain(|hold| hold.filter != context);
        self.headers.hide_from(context);
        self.trailers.hide_from(context);
        if !self.holds_body {
            self.body.hide_from(context);
        }
    }
}

/// The data of a TCP connection that the module can read, by direction, and its host calls about
/// it.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    pub(crate) downstream: Gated<Vec<u8>>,
    pub(crate) upstream: Gated<Vec<u8>>,
    /// The contexts for which `proxy_continue_stream` was called for the data from downstream.
    pub(crate) continued: Vec<u32>,
}

impl Flows {
    pub(crate) const fn new() -> Self {
        Self { downstream: Gated::empty(), upstream: Gated::empty(), continued: Vec::new() }
    }
}

/// A local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalReply {
    pub(crate) status: u32,
    pub(crate) details: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Fields,
    pub(crate) grpc_status: i32,
}

/// The stream that is being played.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// Counts the streams of a VM: streams without filters may have the same id.
    pub(crate) number: u64,
    /// The context that the host function that runs now acts on.
    pub(crate) viewer: u32,
    /// The filters of the chain, in its order.
    pub(crate) filters: Vec<Filter>,
    /// The root context that logs the stream, during `on_log`.
    pub(crate) logger: Option<u32>,
    pub(crate) phase: Phase,
    pub(crate) request: Side,
    pub(crate) response: Side,
    /// What the stream is if it is a TCP connection.
    pub(crate) connection: Option<Flows>,
    /// What access logs see: request headers, response headers, response trailers.
    pub(crate) logged: (Option<Map>, Option<Map>, Option<Map>),
    /// The upstream has the request.
    pub(super) asked: bool,
    /// There is a response.
    pub(crate) response_started: bool,
    pub(crate) local_reply: Option<LocalReply>,
    pub(crate) closed: bool,
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Envoy's own objects in the filter state, as text.
    pub(crate) objects: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) info: Info,
    /// The line of the access log, once the stream has ended.
    pub(super) access_log: Option<String>,
}

/// A filter of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) id: u32,
    pub(crate) root: u32,
    /// The module knows the context.
    pub(crate) created: bool,
    /// Its last callback for a part of a message was the end of that message.
    pub(super) ended: bool,
    /// It has paused the request's body, and not continued the request.
    pub(super) keeps_body: bool,
}

impl Filter {
    /// A filter whose context the module does not know.
    pub(super) const fn new(id: u32, root: u32) -> Self {
        Self { id, root, created: false, ended: false, keeps_body: false }
    }
}

impl Stream {
    pub(crate) const fn new(id: u32) -> Self {
        Self {
            id,
            number: 0,
            viewer: id,
            filters: Vec::new(),
            logger: None,
            phase: Phase::Idle,
            request: Side::new(),
            response: Side::new(),
            connection: None,
            logged: (None, None, None),
            asked: false,
            response_started: false,
            local_reply: None,
            closed: false,
            filter_state: BTreeMap::new(),
            objects: BTreeMap::new(),
            info: Info::new(),
            access_log: None,
        }
    }

    /// Whether what a context does is done to this stream.
    pub(crate) fn has(&self, context: u32) -> bool {
        self.logger == Some(context) || self.filter(context).is_some()
    }

    /// The filter with this context.
    pub(crate) fn filter(&self, context: u32) -> Option<&Filter> {
        self.filters.iter().find(|filter| filter.id == context)
    }

    /// A callback of this phase begins for a part of a message, which may be its end.
    pub(super) fn enter(&mut self, filter: u32, phase: Phase, ended: bool) {
        self.phase = phase;
        let is_part = message(phase).is_some() && !matches!(phase, Phase::RequestTrailers | Phase::ResponseTrailers);
        if let Some(filter) = self.filters.iter_mut().find(|known| known.id == filter && is_part) {
            filter.ended = ended;
        }
    }

    /// A filter continues the request.
    pub(super) fn continue_body(&mut self, filter: u32) {
        if let Some(filter) = self.filters.iter_mut().find(|known| known.id == filter) {
            filter.keeps_body = false;
        }
    }

    /// Whether Envoy makes trailers for a filter that edits those of the request: at the end of the
    /// body, and at the end of a response, of a filter that has paused the body.
    pub(super) fn makes_request_trailers(&self, filter: u32) -> bool {
        let is_end = self.phase == Phase::RequestBody { end_of_stream: true };
        let keeps_body = self.filter(filter).is_some_and(|filter| filter.keeps_body && filter.ended);
        is_end || keeps_body && message(self.phase) == Some(Which::Response)
    }

    /// A callback has returned: it pauses its message, or forwards it.
    pub(super) fn returned(&mut self, callback: &str, filter: u32, raw: u32, now: Duration) {
        let replies = self.local_reply.is_some();
        if let (Phase::RequestBody { .. }, Some(known)) =
            (self.phase, self.filters.iter_mut().find(|known| known.id == filter))
        {
            known.keeps_body = replies || raw != 0 && !self.request.continued.contains(&filter);
        }
        let headers = matches!(self.phase, Phase::RequestHeaders | Phase::ResponseHeaders);
        let side = match message(self.phase) {
            Some(Which::Request) => &mut self.request,
            Some(Which::Response) => &mut self.response,
            None => return,
        };
        // 2 is ContinueAndEndStream, which Envoy treats as Continue.
        let goes_on = raw == 0 || side.continued.contains(&filter) || (headers && raw == 2);
        if goes_on {
            side.held.retain(|hold| hold.filter != filter);
        } else if !side.held.iter().any(|hold| hold.filter == filter) {
            side.held.push(Hold { callback: callback.to_owned(), filter, since: now });
        }
    }

    /// Whether a pending call of a context may wake this stream.
    pub(super) fn is_woken_by(&self, context: u32) -> bool {
        self.filters.iter().any(|filter| filter.id == context || filter.root == context)
    }
}

/// A callback that paused a message.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(super) callback: String,
    pub(super) filter: u32,
    pub(super) since: Duration,
}

/// The message that a callback of this phase is about.
const fn message(phase: Phase) -> Option<Which> {
    match phase {
        Phase::RequestHeaders | Phase::RequestBody { .. } | Phase::RequestTrailers => Some(Which::Request),
        Phase::ResponseHeaders | Phase::ResponseBody { .. } | Phase::ResponseTrailers => Some(Which::Response),
        _ => None,
    }
}
