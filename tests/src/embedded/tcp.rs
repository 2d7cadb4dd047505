//! One TCP connection between a client and an upstream, with Envoy's `tcp_proxy` behind the filters
//! of its chain.
//!
//! Data of the client passes the filters in order, data of the upstream in reverse. Each direction
//! has one buffer: what a filter does not forward stays in it, and with the next data the first
//! filter sees all of it again.

use super::flags::UPSTREAM_REMOTE_RESET;
use super::functions::Functions;
use super::stream::{Filter, Flows, Gated, Phase, Stream};
use super::vm::Vm;
use crate::host_profile::Quirk;
use crate::tcp::{DirectionState, ReceivedBytes, Step, StepOutcome};
use proxy_filter::sys::HostFunctions;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The time between two steps.
pub(super) const STEP: Duration = Duration::from_millis(100);

/// From where data comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Client,
    Upstream,
}

/// What has become of a direction.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Direction {
    /// Its sender has finished.
    ended: bool,
    /// What the host has not read: bytes, and whether they are the last.
    unread: VecDeque<(Vec<u8>, bool)>,
    /// The host has read the end.
    finished: bool,
    /// The filters have forwarded the end of stream.
    passed: bool,
    /// Its sender has reset the connection after that. Envoy detects it when it next writes there.
    gone: bool,
}

/// Who closed the client's connection, as the callback says it.
const LOCAL: u32 = 1;
const REMOTE: u32 = 2;
/// As the callback says it for the upstream.
const UNKNOWN: u32 = 0;
/// The number of bytes that Envoy reads at once. It continues to read before it runs the filters
/// while it has less than the limit of the connection.
const READ: usize = 128 * 1024;

/// The connection that is being played.
pub(super) struct Connection {
    vm: Rc<Vm>,
    functions: Arc<Functions>,
    /// The number of filters.
    filters: usize,
    /// What the client has received in this moment.
    client: ReceivedBytes,
    /// What the upstream has; none before there is a connection to it.
    upstream: Option<ReceivedBytes>,
    /// All that the upstream has received.
    received: Vec<u8>,
    down: Direction,
    up: Direction,
    /// Who has reset the connection, as Envoy has found when it wrote data.
    broken: Option<From>,
    over: bool,
}

impl Connection {
    /// A connection that is this stream: it comes to the first filter.
    pub(super) fn open(vm: &Rc<Vm>, functions: &Arc<Functions>, mut stream: Stream) -> Self {
        stream.info.started = functions.proxy_get_current_time_nanoseconds().unwrap_or_default();
        stream.connection = Some(Flows::new());
        let filters = stream.filters.len();
        functions.state().stream = Some(Box::new(stream));
        let mut connection = Self {
            vm: Rc::clone(vm),
            functions: Arc::clone(functions),
            filters,
            client: ReceivedBytes::default(),
            upstream: None,
            received: Vec::new(),
            down: Direction::default(),
            up: Direction::default(),
            broken: None,
            over: false,
        };
        if connection.vm.failed() {
            connection.close();
        } else {
            connection.read(0);
        }
        connection
    }

    /// Ends a moment.
    pub(super) fn moment(&mut self, title: String) -> StepOutcome {
        let next = |heard: &ReceivedBytes| ReceivedBytes { bytes: Vec::new(), end: heard.end };
        let client = next(&self.client);
        let upstream = self.upstream.as_ref().map(next);
        self.received.extend(self.upstream.iter().flat_map(|heard| &heard.bytes));
        StepOutcome {
            title,
            client: std::mem::replace(&mut self.client, client),
            upstream: std::mem::replace(&mut self.upstream, upstream),
        }
    }

    /// Does what callbacks of root contexts have asked for: the module may resume or close the
    /// connection in them.
    pub(super) fn stir(&mut self) {
        if self.over {
            return;
        }
        if self.with_stream(|stream| std::mem::take(&mut stream.closed)) {
            return self.close();
        }
        if self.resume_continued() {
            self.end_if_finished(From::Client);
            self.read_on();
        }
    }

    /// Plays a step.
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            _ if self.over => return,
            Step::ClientSends(bytes) => self.arrive(From::Client, bytes, false),
            Step::ClientFinishes => self.arrive(From::Client, &[], true),
            // Without an upstream, Envoy reads nothing, and does not detect a reset.
            _ if self.upstream.is_none() => {}
            Step::UpstreamSends(bytes) => self.arrive(From::Upstream, bytes, false),
            Step::UpstreamAnswers(answer) => {
                let bytes = answer(&self.received);
                self.arrive(From::Upstream, &bytes, false);
            }
            Step::UpstreamFinishes => self.arrive(From::Upstream, &[], true),
            Step::ClientResets => self.reset(From::Client),
            Step::UpstreamResets => self.reset(From::Upstream),
        }
        self.read_on();
    }

    /// A side resets the connection.
    fn reset(&mut self, by: From) {
        self.direction(by).gone = true;
        if self.direction(by).ended {
            return;
        }
        let is_told = !self.functions.state().plays(Quirk::UpstreamResetCloses);
        if by == From::Upstream && is_told {
            self.with_stream(|stream| stream.info.flags |= UPSTREAM_REMOTE_RESET);
        }
        self.reset_by(by);
    }

    /// How the other side sees a reset.
    fn seen(&self, closes: Quirk) -> DirectionState {
        if self.functions.state().plays(closes) { DirectionState::Closed } else { DirectionState::Reset }
    }

    /// Ends a connection that one side has reset.
    fn reset_by(&mut self, by: From) {
        match by {
            From::Client => {
                self.end(REMOTE);
                self.finish(DirectionState::Open, self.seen(Quirk::ClientResetCloses));
            }
            From::Upstream => {
                self.end(LOCAL);
                self.finish(self.seen(Quirk::UpstreamResetCloses), DirectionState::Open);
            }
        }
    }

    /// Data, or the end, comes to the host, which reads it when it can.
    fn arrive(&mut self, from: From, bytes: &[u8], end: bool) {
        let limit = self.functions.state().buffer_limit();
        let at_once = limit.div_ceil(READ).max(1) * READ;
        let direction = self.direction(from);
        if direction.ended {
            return;
        }
        direction.ended = end;
        direction.unread.extend(bytes.chunks(at_once).map(|piece| (piece.to_vec(), false)));
        if end {
            direction.unread.push_back((Vec::new(), true));
        }
    }

    /// Reads what has come, while there is an upstream, and no more is buffered than the limit.
    fn read_on(&mut self) {
        let limit = self.functions.state().buffer_limit();
        for from in [From::Client, From::Upstream] {
            while !self.over && self.upstream.is_some() && self.buffered(from) <= limit {
                let Some((bytes, end)) = self.direction(from).unread.pop_front() else { break };
                self.piece(from, &bytes, end);
            }
        }
    }

    /// Takes data, or an end, through the filters.
    fn piece(&mut self, from: From, bytes: &[u8], end: bool) {
        self.with_flow(from, |flow| flow.value.get_or_insert_default().extend_from_slice(bytes));
        self.direction(from).finished |= end;
        match from {
            From::Client => {
                self.with_stream(|stream| stream.info.received += bytes.len() as u64);
                self.read(0);
            }
            From::Upstream => self.write(end),
        }
        self.end_if_finished(from);
    }

    /// Passes the connection, and what is buffered of the client's data, to the filters from this
    /// one on, until one pauses it.
    fn read(&mut self, from: usize) {
        for index in from..self.filters {
            let Some(filter) = self.filter(index) else { return };
            if !filter.created {
                self.with_filter(index, |filter| filter.created = true);
                self.vm.call("proxy_on_context_create", &[filter.id, filter.root]);
                if self.flow(index, "proxy_on_new_connection", &[]) != Some(0) {
                    return;
                }
            }
            let (size, end) = (self.show(From::Client, filter.id), self.down.finished);
            if size > 0 || end {
                if self.flow(index, "proxy_on_downstream_data", &[size, u32::from(end)]) != Some(0) {
                    return;
                }
                self.with_flow(From::Client, |flow| flow.hide_from(filter.id));
            }
        }
        if self.upstream.is_none() {
            self.upstream = Some(ReceivedBytes::default());
            self.with_stream(|stream| stream.info.upstream = true);
        }
        self.release(From::Client, self.down.finished);
    }

    /// Passes what is buffered of the upstream's data to the filters, from the last to the first,
    /// until one pauses it.
    fn write(&mut self, end: bool) {
        for index in (0..self.filters).rev() {
            let Some(filter) = self.filter(index) else { return };
            let size = self.show(From::Upstream, filter.id);
            let Some(raw) = self.flow(index, "proxy_on_upstream_data", &[size, u32::from(end)]) else { return };
            if end {
                self.callback(filter.id, Phase::Connection, "proxy_on_upstream_connection_close", &[UNKNOWN]);
            }
            if raw != 0 {
                return;
            }
            self.with_flow(From::Upstream, |flow| flow.hide_from(filter.id));
        }
        self.release(From::Upstream, end);
    }

    /// Makes the buffer of a direction available to a filter. Returns its size.
    fn show(&self, from: From, filter: u32) -> u32 {
        self.with_flow(from, |flow| {
            flow.show_to(filter);
            u32::try_from(flow.value.get_or_insert_default().len()).unwrap_or(u32::MAX)
        })
    }

    fn buffered(&self, from: From) -> usize {
        self.with_flow(from, |flow| flow.value.as_ref().map_or(0, Vec::len))
    }

    /// Forwards what is buffered of a direction to the other side.
    fn release(&mut self, from: From, end: bool) {
        let data = self.with_flow(from, Gated::take).unwrap_or_default();
        self.direction(from).passed |= end;
        if from == From::Upstream {
            self.with_stream(|stream| stream.info.sent += data.len() as u64);
        }
        let (to, gone, heard) = match from {
            From::Client => (From::Upstream, self.up.gone, self.upstream.get_or_insert_default()),
            From::Upstream => (From::Client, self.down.gone, &mut self.client),
        };
        if gone {
            self.broken = self.broken.or(Some(to).filter(|_| !data.is_empty()));
            return;
        }
        heard.bytes.extend_from_slice(&data);
        if end {
            heard.close(DirectionState::Closed);
        }
    }

    /// The connection ends when data cannot be written, or when both directions have ended and the
    /// filters have forwarded one of the ends. `last` is the direction that ended now.
    fn end_if_finished(&mut self, last: From) {
        if let (false, Some(by)) = (self.over, self.broken) {
            return self.reset_by(by);
        }
        if self.over || !self.down.finished || !self.up.finished || !(self.down.passed || self.up.passed) {
            return;
        }
        // The client has closed if it has seen the upstream's end first. Otherwise Envoy closes.
        let by_client = last == From::Client && self.up.passed;
        self.end(if by_client { REMOTE } else { LOCAL });
        self.finish(DirectionState::Closed, DirectionState::Closed);
    }

    /// The host closes the connection at both sides.
    fn close(&mut self) {
        self.end(LOCAL);
        self.finish(DirectionState::Closed, DirectionState::Closed);
    }

    fn finish(&mut self, client: DirectionState, upstream: DirectionState) {
        if !self.down.gone {
            self.client.close(client);
        }
        if let (false, Some(heard)) = (self.up.gone, &mut self.upstream) {
            heard.close(upstream);
        }
    }

    /// The end of the connection, in Envoy's order: one filter after the other.
    fn end(&mut self, peer: u32) {
        self.over = true;
        for index in 0..self.filters {
            let Some(Filter { id, created: true, .. }) = self.filter(index) else { continue };
            self.callback(id, Phase::Connection, "proxy_on_downstream_connection_close", &[peer]);
            for (phase, name) in
                [(Phase::Done, "proxy_on_done"), (Phase::Log, "proxy_on_log"), (Phase::Delete, "proxy_on_delete")]
            {
                self.callback(id, phase, name, &[]);
            }
        }
    }

    /// Runs a callback whose result decides about the connection, and then resumes the filters that
    /// the module has continued in it. Returns the result, or `None` if the connection has ended.
    fn flow(&mut self, index: usize, name: &str, arguments: &[u32]) -> Option<u32> {
        let filter = self.filter(index)?;
        let raw = self.callback(filter.id, Phase::Connection, name, arguments);
        if self.vm.failed() || self.with_stream(|stream| std::mem::take(&mut stream.closed)) {
            self.close();
            return None;
        }
        self.resume_continued();
        (!self.over).then_some(raw)
    }

    fn callback(&self, context: u32, phase: Phase, name: &str, arguments: &[u32]) -> u32 {
        self.with_stream(|stream| stream.phase = phase);
        let arguments: Vec<u32> = std::iter::once(context).chain(arguments.iter().copied()).collect();
        let raw = self.vm.call(name, &arguments).unwrap_or_default();
        self.with_stream(|stream| stream.phase = Phase::Idle);
        raw
    }

    /// Forwards the client's data from each filter that the module has continued, and the end if it
    /// has come. Returns whether there was one.
    fn resume_continued(&mut self) -> bool {
        let continued =
            self.with_stream(|stream| stream.connection.as_mut().map(|flows| std::mem::take(&mut flows.continued)));
        let continued = continued.unwrap_or_default();
        for context in &continued {
            let of = self.with_stream(|stream| stream.filters.iter().position(|filter| filter.id == *context));
            if let (false, Some(index)) = (self.over, of) {
                self.read(index + 1);
            }
        }
        !continued.is_empty()
    }

    const fn direction(&mut self, from: From) -> &mut Direction {
        match from {
            From::Client => &mut self.down,
            From::Upstream => &mut self.up,
        }
    }

    fn filter(&self, index: usize) -> Option<Filter> {
        self.with_stream(|stream| stream.filters.get(index).copied())
    }

    fn with_filter(&self, index: usize, body: impl FnOnce(&mut Filter)) {
        self.with_stream(|stream| stream.filters.get_mut(index).map(body));
    }

    fn with_stream<T>(&self, body: impl FnOnce(&mut Stream) -> T) -> T {
        body(self.functions.state().stream.get_or_insert_with(|| Box::new(Stream::new(0))))
    }

    fn with_flow<T>(&self, from: From, body: impl FnOnce(&mut Gated<Vec<u8>>) -> T) -> T {
        self.with_stream(|stream| {
            let flows = stream.connection.get_or_insert_with(Flows::new);
            body(match from {
                From::Client => &mut flows.downstream,
                From::Upstream => &mut flows.upstream,
            })
        })
    }
}
