//! What is known about one exchange, for the page: its messages before and after the filters, the
//! events of the filters, and their callouts, each with its time.

use crate::view::{self, SHOWN};
use proxy_filter_host::{Call, CallEnd, Direction, Event, Fields, GrpcCall, GrpcEvent, Part, Protocol};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::fields;

/// The maximum number of events that are kept of an exchange.
const EVENTS: usize = 2_000;
/// The maximum number of bytes of the text that the page searches in.
const SEARCHED: usize = 4 * 1024;

/// A message, as far as it has come.
#[derive(Debug)]
struct Message {
    headers: Fields,
    at: Instant,
    /// The first bytes of the body.
    body: Vec<u8>,
    size: usize,
    trailers: Fields,
    complete: bool,
}

impl Message {
    fn new(headers: &Fields, complete: bool) -> Self {
        Self {
            headers: headers.clone(),
            at: Instant::now(),
            body: Vec::new(),
            size: 0,
            trailers: Fields::new(),
            complete,
        }
    }

    fn data(&mut self, bytes: &[u8], end: bool) {
        self.size += bytes.len();
        let room = SHOWN.saturating_sub(self.body.len()).min(bytes.len());
        self.body.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.complete |= end;
    }

    fn json(&self) -> Value {
        view::message_of(&self.headers, &self.body, self.size, &self.trailers, self.complete)
    }

    fn bytes(&self) -> usize {
        let fields = self.headers.iter().chain(&self.trailers);
        self.body.len() + fields.map(|(name, value)| name.len() + value.len() + 48).sum::<usize>()
    }
}

/// A message on both sides of the filters.
#[derive(Debug, Default)]
struct Sides {
    before: Option<Message>,
    after: Option<Message>,
}

/// A callout of a filter.
#[derive(Debug)]
struct Callout {
    /// The position of the filter in the chain, and the number that the filter has for the callout.
    key: (usize, u32),
    cluster: String,
    started: Instant,
    ended: Option<Instant>,
    request: Message,
    response: Option<Message>,
}

#[derive(Debug)]
struct Known {
    request: Sides,
    response: Sides,
    events: Vec<(Instant, usize, Event)>,
    omitted: usize,
    callouts: Vec<Callout>,
    ended: Option<Instant>,
    was_reset: bool,
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) number: u64,
    replay_of: Option<u64>,
    protocol: Protocol,
    started: Instant,
    time: SystemTime,
    known: Mutex<Known>,
}

/// Which side of the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Recording {
    /// Begins with the client's request headers.
    pub(super) fn begin(
        number: u64,
        replay_of: Option<u64>,
        protocol: Protocol,
        headers: &Fields,
        end: bool,
    ) -> Arc<Self> {
        let request = Sides { before: Some(Message::new(headers, end)), after: None };
        let known = Known {
            request,
            response: Sides::default(),
            events: Vec::new(),
            omitted: 0,
            callouts: Vec::new(),
            ended: None,
            was_reset: false,
        };
        Arc::new(Self {
            number,
            replay_of,
            protocol,
            started: Instant::now(),
            time: SystemTime::now(),
            known: Mutex::new(known),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a part of a message.
    pub(super) fn part(&self, direction: Direction, side: Side, part: &Part) {
        let mut known = self.known();
        let sides = match direction {
            Direction::ToUpstream => &mut known.request,
            Direction::ToClient => &mut known.response,
        };
        let message = if side == Side::Before { &mut sides.before } else { &mut sides.after };
        match (part, message) {
            (Part::Headers(headers, end), message) => *message = Some(Message::new(headers, *end)),
            (Part::Data(bytes, end), Some(message)) => message.data(bytes, *end),
            (Part::Trailers(trailers), Some(message)) => {
                message.trailers.clone_from(trailers);
                message.complete = true;
            }
            (Part::Reset, _) if side == Side::After => known.was_reset = true,
            _ => {}
        }
    }

    /// Notes what a filter of the chain has done.
    pub(super) fn events(&self, stage: usize, events: &[(Instant, Event)]) {
        let mut known = self.known();
        let kept = EVENTS.saturating_sub(known.events.len()).min(events.len());
        known.omitted += events.len() - kept;
        let kept = events.iter().take(kept).map(|(at, event)| (*at, stage, event.clone()));
        known.events.extend(kept);
    }

    fn callout(&self, key: (usize, u32), cluster: &str, request: Message) {
        let cluster = cluster.to_owned();
        let callout = Callout { key, cluster, started: Instant::now(), ended: None, request, response: None };
        self.known().callouts.push(callout);
    }

    /// Notes an HTTP callout of a filter.
    pub(super) fn call(&self, stage: usize, call: &Call) {
        let mut request = Message::new(&call.headers, true);
        request.data(&call.body, true);
        self.callout((stage, call.token), &call.cluster, request);
    }

    /// Notes the end of an HTTP callout.
    pub(super) fn called(&self, stage: usize, token: u32, end: &CallEnd) {
        let mut known = self.known();
        let Some(callout) = known.callouts.iter_mut().find(|callout| callout.key == (stage, token)) else { return };
        callout.ended = Some(Instant::now());
        if let CallEnd::Response(headers, body, trailers) = end {
            let mut response = Message::new(headers, true);
            response.data(body, true);
            response.trailers.clone_from(trailers);
            callout.response = Some(response);
        }
    }

    /// Notes the begin of a gRPC call or stream.
    pub(super) fn rpc(&self, stage: usize, call: &GrpcCall) {
        self.callout((stage, call.token), &call.cluster, Message::new(&call.headers, false));
    }

    /// Notes what a filter has sent on a gRPC call or stream.
    pub(super) fn rpc_sent(&self, stage: usize, token: u32, bytes: &[u8], end: bool) {
        let mut known = self.known();
        if let Some(callout) = known.callouts.iter_mut().find(|callout| callout.key == (stage, token)) {
            callout.request.data(bytes, end);
        }
    }

    /// Notes a part of the response to a gRPC call or stream.
    pub(super) fn rpc_event(&self, stage: usize, token: u32, event: &GrpcEvent) {
        let mut known = self.known();
        let Some(callout) = known.callouts.iter_mut().find(|callout| callout.key == (stage, token)) else { return };
        let is_end = !matches!(event, GrpcEvent::Headers(_, false) | GrpcEvent::Data(_));
        match (event, &mut callout.response) {
            (GrpcEvent::Headers(headers, end), response) => *response = Some(Message::new(headers, *end)),
            (GrpcEvent::Data(bytes), Some(response)) => response.data(bytes, false),
            (GrpcEvent::End(trailers), Some(response)) => {
                response.trailers.clone_from(trailers);
                response.complete = true;
            }
            _ => {}
        }
        if is_end {
            callout.ended = Some(Instant::now());
        }
    }

    /// Notes the end of the exchange, and returns how many bytes are kept of it.
    pub(super) fn end(&self) -> usize {
        let mut known = self.known();
        known.ended = Some(Instant::now());
        let sides = [&known.request, &known.response];
        let messages = sides.into_iter().flat_map(|sides| sides.before.iter().chain(&sides.after));
        let callouts =
            known.callouts.iter().flat_map(|callout| std::iter::once(&callout.request).chain(&callout.response));
        messages.chain(callouts).map(Message::bytes).sum::<usize>() + known.events.len() * 128
    }

    fn milliseconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.started).as_secs_f64() * 1000.0
    }

    /// The body of the request, if all of it is kept.
    pub(super) fn request_body(&self) -> Option<Vec<u8>> {
        let known = self.known();
        let request = known.request.before.as_ref()?;
        (request.body.len() == request.size).then(|| request.body.clone())
    }

    /// What the list of the page shows, and the text that its filter searches in.
    pub(super) fn summary(&self) -> Value {
        let known = self.known();
        let request = known.request.before.as_ref().map(|message| &message.headers);
        let get = |name| request.and_then(|headers| fields::get(headers, name)).unwrap_or_default().to_owned();
        let (method, path) = (get(":method"), get(":path"));
        let messages = [&known.request, &known.response];
        let messages = messages.into_iter().flat_map(|sides| sides.before.iter().chain(&sides.after));
        let headers = messages.flat_map(|message| message.headers.iter().chain(&message.trailers));
        let mut search = format!("{method} {path}\n").to_lowercase();
        for (name, value) in headers {
            if search.len() < SEARCHED {
                search.push_str(&format!("{}: {}\n", view::text(name), view::text(value)).to_lowercase());
            }
        }
        for line in known.events.iter().filter_map(|(_, _, event)| event.log_line()) {
            if search.len() < SEARCHED {
                search.push_str(&line.message.to_lowercase());
                search.push('\n');
            }
        }
        json!({
            "id": self.number,
            "name": format!("{method} {path}"),
            "status": status(known.response.after.as_ref()),
            "in_flight": known.ended.is_none(),
            "reset": known.was_reset,
            "duration_ms": known.ended.map(|ended| self.milliseconds(ended)),
            "replay_of": self.replay_of,
            "search": search,
        })
    }

    /// All that is known.
    pub(super) fn detail(&self) -> Value {
        let mut detail = self.summary();
        let known = self.known();
        let json = |message: &Option<Message>| message.as_ref().map(Message::json);
        let at = |message: &Option<Message>| message.as_ref().map(|message| self.milliseconds(message.at));
        let events = known.events.iter().map(|(at, stage, event)| {
            let mut shown = view::event(event);
            if let Some(map) = shown.as_object_mut() {
                map.insert("t".into(), self.milliseconds(*at).into());
                map.insert("filter".into(), (*stage).into());
            }
            shown
        });
        let callouts = known.callouts.iter().map(|callout| {
            json!({
                "cluster": callout.cluster,
                "start": self.milliseconds(callout.started),
                "end": callout.ended.map(|ended| self.milliseconds(ended)),
                "request": callout.request.json(),
                "response": callout.response.as_ref().map(Message::json),
            })
        });
        let now = known.ended.unwrap_or_else(Instant::now);
        let more = json!({
            "time": self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0,
            "now": self.milliseconds(now),
            "http2": self.protocol == Protocol::Http2,
            "request": { "before": json(&known.request.before), "after": json(&known.request.after) },
            "response": { "before": json(&known.response.before), "after": json(&known.response.after) },
            "request_at_upstream": at(&known.request.after),
            "response_from_upstream": at(&known.response.before),
            "response_at_client": at(&known.response.after),
            "events": events.collect::<Vec<_>>(),
            "omitted_events": known.omitted,
            "callouts": callouts.collect::<Vec<_>>(),
        });
        if let (Some(detail), Value::Object(more)) = (detail.as_object_mut(), more) {
            detail.remove("search");
            detail.extend(more);
        }
        detail
    }
}

fn status(response: Option<&Message>) -> Option<u16> {
    fields::get(&response?.headers, ":status")?.parse().ok()
}
