//! One TCP connection between a client and an upstream, with Envoy's `tcp_proxy` behind the filter.

use super::event;
use super::flags::UPSTREAM_REMOTE_RESET;
use super::functions::Functions;
use super::stream::{Flows, Gated, Phase, Stream};
use super::vm::Vm;
use crate::tcp::{CONNECTS, DirectionState, ReceivedBytes, Step, StepOutcome};
use proxy_filter::sys::HostFunctions;
use std::time::Duration;

/// The time between two steps.
const STEP: Duration = Duration::from_millis(100);

/// From where data comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Client,
    Upstream,
}

/// What has become of a direction.
#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    /// Its sender has finished.
    finished: bool,
    /// The filter has forwarded the end of stream.
    passed: bool,
    /// The data that is buffered for the filter exceeds the limit: the host stops reading.
    full: bool,
}

/// Who closed the client's connection, as the callback says it.
const LOCAL: u32 = 1;
const REMOTE: u32 = 2;
/// As the callback says it for the upstream.
const UNKNOWN: u32 = 0;
/// The number of bytes that Envoy reads at once. It continues to read before it runs the filter
/// while it has less than the limit of the connection.
const READ: usize = 128 * 1024;

/// The connection that is being played.
pub(super) struct Connection<'a> {
    vm: &'a Vm,
    functions: &'a Functions,
    id: u32,
    /// What the client has received in this moment.
    client: ReceivedBytes,
    /// What the upstream has; none before there is a connection to it.
    upstream: Option<ReceivedBytes>,
    /// All that the upstream has received.
    received: Vec<u8>,
    down: Direction,
    up: Direction,
    /// The filter pauses the new connection.
    held: bool,
    over: bool,
}

impl<'a> Connection<'a> {
    /// A connection that is this stream.
    pub(super) fn new(vm: &'a Vm, functions: &'a Functions, stream: Stream) -> Self {
        let id = stream.id;
        functions.state().stream = Some(Box::new(stream));
        Self {
            vm,
            functions,
            id,
            client: ReceivedBytes::default(),
            upstream: None,
            received: Vec::new(),
            down: Direction::default(),
            up: Direction::default(),
            held: false,
            over: false,
        }
    }

    /// Plays the connection: what both sides received, step by step.
    pub(super) fn play(mut self, script: &[Step]) -> Vec<StepOutcome> {
        self.open();
        let mut moments = vec![self.moment(CONNECTS.to_owned())];
        for step in script {
            self.step(step);
            self.let_pass();
            moments.push(self.moment(step.title()));
        }
        moments
    }

    /// Ends a moment.
    fn moment(&mut self, title: String) -> StepOutcome {
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

    /// The time until the next step. Events that are due run before it, and the module may resume
    /// or close the connection in them.
    fn let_pass(&mut self) {
        let end = self.functions.state().clock.now() + STEP;
        event::tell(self.vm, self.functions);
        while event::next(self.vm, self.functions, end) {
            self.do_what_is_asked();
        }
        self.functions.state().clock.go_on_to(end);
    }

    fn do_what_is_asked(&mut self) {
        if self.over {
            return;
        }
        if self.with_stream(|stream| std::mem::take(&mut stream.closed)) {
            return self.close();
        }
        if !self.take_continued() {
            return;
        }
        if self.held {
            return self.reach_upstream();
        }
        let end = self.down.finished;
        self.release(From::Client, end);
        self.end_if_finished(From::Client);
    }

    fn open(&mut self) {
        let started = self.functions.proxy_get_current_time_nanoseconds().unwrap_or_default();
        self.with_stream(|stream| {
            stream.connection = Some(Flows::new());
            stream.info.started = started;
        });
        if self.vm.failed() {
            return self.close();
        }
        let root = self.with_stream(|stream| {
            stream.filters.first_mut().map(|filter| {
                filter.created = true;
                filter.root
            })
        });
        self.vm.call("proxy_on_context_create", &[self.id, root.unwrap_or_default()]);
        let Some(raw) = self.flow("proxy_on_new_connection", &[]) else { return };
        self.held = raw != 0 && !self.take_continued();
        if !self.held {
            self.reach_upstream();
        }
        self.let_pass();
    }

    fn reach_upstream(&mut self) {
        self.held = false;
        self.upstream = Some(ReceivedBytes::default());
        self.with_stream(|stream| stream.info.upstream = true);
    }

    fn step(&mut self, step: &Step) {
        // Envoy reads nothing before it has an upstream, not even an end.
        if self.over || self.held {
            return;
        }
        match step {
            Step::ClientSends(bytes) if !self.down.finished => self.data(From::Client, bytes, false),
            Step::ClientFinishes => self.data(From::Client, &[], true),
            Step::UpstreamSends(bytes) => self.upstream_sends(bytes),
            Step::UpstreamAnswers(answer) => {
                let bytes = answer(&self.received);
                self.upstream_sends(&bytes);
            }
            Step::UpstreamFinishes => self.data(From::Upstream, &[], true),
            Step::ClientResets => {
                self.end(REMOTE);
                self.finish(DirectionState::Open, DirectionState::Reset);
            }
            Step::UpstreamResets => {
                self.with_stream(|stream| stream.info.flags |= UPSTREAM_REMOTE_RESET);
                self.end(LOCAL);
                self.finish(DirectionState::Reset, DirectionState::Open);
            }
            Step::ClientSends(_) => {}
        }
    }

    fn upstream_sends(&mut self, bytes: &[u8]) {
        if !self.up.finished && !bytes.is_empty() {
            self.data(From::Upstream, bytes, false);
        }
    }

    /// Takes data, or an end, through the filter, as much as the host reads at once.
    fn data(&mut self, from: From, bytes: &[u8], end: bool) {
        let limit = self.functions.state().buffer_limit();
        let at_once = limit.div_ceil(READ).max(1) * READ;
        let pieces: Vec<&[u8]> = if end { vec![bytes] } else { bytes.chunks(at_once).collect() };
        for piece in pieces {
            if self.over || self.direction(from).full {
                return;
            }
            self.piece(from, piece, end);
            let held = self.with_flow(from, |flow| flow.value.as_ref().map_or(0, Vec::len));
            self.direction(from).full = held > limit;
        }
    }

    fn piece(&mut self, from: From, bytes: &[u8], end: bool) {
        if from == From::Client {
            self.with_stream(|stream| stream.info.received += bytes.len() as u64);
        }
        let id = self.id;
        let size = self.with_flow(from, |flow| {
            let mut data = flow.take().unwrap_or_default();
            data.extend_from_slice(bytes);
            let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
            flow.show(data, id);
            size
        });
        self.direction(from).finished |= end;
        let name = match from {
            From::Client => "proxy_on_downstream_data",
            From::Upstream => "proxy_on_upstream_data",
        };
        let Some(raw) = self.flow(name, &[size, u32::from(end)]) else { return };
        // In any callback, resuming the client's direction forwards its buffered data, and its end
        // if it has arrived.
        if self.take_continued() {
            let end = self.down.finished;
            self.release(From::Client, end);
        }
        if raw == 0 {
            self.release(from, end);
        }
        if from == From::Upstream && end {
            self.callback(Phase::Connection, "proxy_on_upstream_connection_close", &[UNKNOWN]);
        }
        self.end_if_finished(from);
    }

    /// Forwards the data of the current callback, or the buffered data, to the other side.
    fn release(&mut self, from: From, end: bool) {
        let data = self.with_flow(from, Gated::take).unwrap_or_default();
        self.direction(from).passed |= end;
        let heard = match from {
            From::Client => self.upstream.get_or_insert_default(),
            From::Upstream => &mut self.client,
        };
        heard.bytes.extend_from_slice(&data);
        if end {
            heard.close(DirectionState::Closed);
        }
        if from == From::Upstream {
            self.with_stream(|stream| stream.info.sent += data.len() as u64);
        }
    }

    /// The connection ends when both directions have ended, and the filter has forwarded one of the
    /// ends. `last` is the direction that ended now.
    fn end_if_finished(&mut self, last: From) {
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
        self.client.close(client);
        if let Some(heard) = &mut self.upstream {
            heard.close(upstream);
        }
    }

    /// The end of the connection, in Envoy's order.
    fn end(&mut self, peer: u32) {
        self.over = true;
        self.callback(Phase::Connection, "proxy_on_downstream_connection_close", &[peer]);
        for (phase, name) in
            [(Phase::Done, "proxy_on_done"), (Phase::Log, "proxy_on_log"), (Phase::Delete, "proxy_on_delete")]
        {
            self.callback(phase, name, &[]);
        }
    }

    /// Runs a callback whose result decides about the connection. Returns the result, or `None` if
    /// the connection has ended.
    fn flow(&mut self, name: &str, arguments: &[u32]) -> Option<u32> {
        let raw = self.callback(Phase::Connection, name, arguments);
        if self.vm.failed() || self.with_stream(|stream| std::mem::take(&mut stream.closed)) {
            self.close();
            return None;
        }
        Some(raw)
    }

    fn callback(&mut self, phase: Phase, name: &str, arguments: &[u32]) -> u32 {
        self.with_stream(|stream| stream.phase = phase);
        let arguments: Vec<u32> = std::iter::once(self.id).chain(arguments.iter().copied()).collect();
        let raw = self.vm.call(name, &arguments).unwrap_or_default();
        self.with_stream(|stream| stream.phase = Phase::Idle);
        raw
    }

    fn take_continued(&self) -> bool {
        self.with_stream(|stream| stream.connection.as_mut().is_some_and(|flows| std::mem::take(&mut flows.continued)))
    }

    fn direction(&mut self, from: From) -> &mut Direction {
        match from {
            From::Client => &mut self.down,
            From::Upstream => &mut self.up,
        }
    }

    fn with_stream<T>(&self, body: impl FnOnce(&mut Stream) -> T) -> T {
        body(self.functions.state().stream.get_or_insert_with(|| Box::new(Stream::new(self.id))))
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
