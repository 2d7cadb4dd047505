//! The filters of one worker: a VM for each module of the chain, and the streams in them. A reload
//! makes another generation; the streams of this one finish here.

use super::calls::Callers;
use super::pipe::{Sender, pipe};
use super::recording::{Recording, Side};
use super::trace::{Line, Trace};
use proxy_filter_host::{
    Action, CallEnd, Direction, Engine, Event, Fields, GrpcAction, GrpcEvent, LiveFilter, LivePlugin, LiveProcess,
    Part, Protocol,
};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The modules of the chain and their plugins, with the data that their VMs share.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) engine: Engine,
    pub(super) filters: Vec<(Arc<[u8]>, LivePlugin)>,
    pub(super) processes: Vec<LiveProcess>,
}

impl Source {
    /// Starts a VM of each module.
    ///
    /// # Errors
    /// Why a module cannot be started.
    pub(super) fn start(&self, worker: usize) -> Result<Vec<LiveFilter>, String> {
        let filters = self.filters.iter().zip(&self.processes);
        let started = filters.map(|((module, plugin), process)| {
            LiveFilter::start(self.engine, module, plugin, process, worker).map_err(|error| error.to_string())
        });
        started.collect()
    }
}

/// Where the parts of a stream go.
struct Stream {
    to_upstream: Sender,
    to_client: Sender,
    protocol: Protocol,
    /// What reads from the client and from the upstream.
    tasks: Vec<AbortHandle>,
    line: Line,
    /// What the page shows.
    recording: Option<Arc<Recording>>,
}

/// A gRPC call or stream of a filter. Dropping it resets it.
struct Rpc {
    to_server: Sender,
    task: AbortHandle,
    recording: Option<Arc<Recording>>,
}

impl Drop for Rpc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The filters, and their streams.
pub(super) struct Generation {
    filters: RefCell<Vec<LiveFilter>>,
    streams: RefCell<HashMap<u64, Stream>>,
    /// The gRPC calls and streams of each filter, by the filter's number for them.
    rpcs: RefCell<HashMap<(usize, u32), Rpc>>,
    callers: Rc<Callers>,
    trace: Rc<Trace>,
    /// Something has happened: what is due next may have changed.
    moved: Notify,
    /// The same, for bodies that wait for room.
    progress: Notify,
    this: Weak<Self>,
}

/// A stream that begins.
pub(super) struct Begin {
    pub(super) id: u64,
    /// The number of the exchange that it repeats.
    pub(super) replay_of: Option<u64>,
    pub(super) protocol: Protocol,
    pub(super) headers: Fields,
    pub(super) end: bool,
}

/// Ends a stream when its client does not want its response any more.
pub(super) struct Guard {
    generation: Rc<Generation>,
    id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.generation.disconnected(self.id);
    }
}

impl Generation {
    /// Starts the filters, and their ticks.
    ///
    /// # Errors
    /// Why a module cannot be started.
    pub(super) fn start(
        source: &Source,
        worker: usize,
        callers: Rc<Callers>,
        trace: Rc<Trace>,
    ) -> Result<Rc<Self>, String> {
        let filters = source.start(worker)?;
        let generation = Rc::new_cyclic(|this| Self {
            filters: RefCell::new(filters),
            streams: RefCell::default(),
            rpcs: RefCell::default(),
            callers,
            trace,
            moved: Notify::new(),
            progress: Notify::new(),
            this: Weak::clone(this),
        });
        generation.pump();
        tokio::task::spawn_local(tick(Rc::downgrade(&generation)));
        Ok(generation)
    }

    /// Whether a VM has trapped.
    pub(super) fn failed(&self) -> bool {
        self.filters.borrow().iter().any(LiveFilter::failed)
    }

    /// Starts a stream. Dropping the guard ends it.
    pub(super) fn begin(
        self: &Rc<Self>,
        Begin { id, replay_of, protocol, headers, end }: Begin,
        (to_upstream, to_client): (Sender, Sender),
    ) -> Guard {
        let line = Line::new(&headers);
        let recording = self.trace.hub.as_ref().map(|hub| hub.begin(replay_of, protocol, &headers, end));
        let stream = Stream { to_upstream, to_client, protocol, tasks: Vec::new(), line, recording };
        self.streams.borrow_mut().insert(id, stream);
        self.with(0, |filter| filter.request_headers(id, protocol, headers, end));
        Guard { generation: Rc::clone(self), id }
    }

    /// Notes a task that ends with the stream.
    pub(super) fn owns(&self, id: u64, task: AbortHandle) {
        match self.streams.borrow_mut().get_mut(&id) {
            Some(stream) => stream.tasks.push(task),
            None => task.abort(),
        }
    }

    /// A chunk of the request comes from the client, or of the response from the upstream.
    pub(super) fn data(&self, id: u64, direction: Direction, bytes: Vec<u8>, end: bool) {
        let part = Part::Data(bytes, end);
        self.record(id, |recording| recording.part(direction, Side::Before, &part));
        let Part::Data(bytes, end) = part else { return };
        self.with(self.first(direction), |filter| filter.data(id, direction, bytes, end));
    }

    /// Trailers come.
    pub(super) fn trailers(&self, id: u64, direction: Direction, fields: &Fields) {
        self.record(id, |recording| recording.part(direction, Side::Before, &Part::Trailers(fields.clone())));
        self.with(self.first(direction), |filter| filter.trailers(id, direction, fields));
    }

    /// The upstream's response headers come.
    pub(super) fn response_headers(&self, id: u64, headers: Fields, end: bool) {
        self.record(id, |recording| {
            recording.part(Direction::ToClient, Side::Before, &Part::Headers(headers.clone(), end));
        });
        self.with(self.first(Direction::ToClient), |filter| filter.response_headers(id, headers, end));
    }

    /// The upstream does not respond, or not to the end.
    pub(super) fn upstream_failed(&self, id: u64) {
        self.with(self.first(Direction::ToClient), |filter| filter.upstream_failed(id));
    }

    /// The client does not send all of its request, or does not want the response.
    pub(super) fn disconnected(&self, id: u64) {
        if self.streams.borrow().contains_key(&id) {
            self.with(0, |filter| filter.disconnected(id));
        }
    }

    /// Waits until the filters buffer no more of a message than Envoy would.
    pub(super) async fn has_room(&self, id: u64, direction: Direction) {
        loop {
            let progress = self.progress.notified();
            if self.filters.borrow().iter().all(|filter| !filter.is_full(id, direction)) {
                return;
            }
            progress.await;
        }
    }

    /// The filter that a message comes to first.
    fn first(&self, direction: Direction) -> usize {
        match direction {
            Direction::ToUpstream => 0,
            Direction::ToClient => self.filters.borrow().len().saturating_sub(1),
        }
    }

    /// Records something of a stream, if there is a page.
    fn record(&self, id: u64, body: impl FnOnce(&Recording)) {
        if self.trace.hub.is_some()
            && let Some(recording) = self.streams.borrow().get(&id).and_then(|stream| stream.recording.as_deref())
        {
            body(recording);
        }
    }

    fn with(&self, stage: usize, body: impl FnOnce(&mut LiveFilter)) {
        if let Some(filter) = self.filters.borrow_mut().get_mut(stage) {
            body(filter);
        }
        self.pump();
    }

    /// Does what the filters ask for, until they ask for nothing more.
    fn pump(&self) {
        let mut filters = self.filters.borrow_mut();
        let mut actions = VecDeque::new();
        loop {
            for (stage, filter) in filters.iter_mut().enumerate() {
                actions.extend(filter.actions().into_iter().map(|action| (stage, action)));
            }
            let Some((stage, action)) = actions.pop_front() else { break };
            self.act(&mut filters, stage, action);
        }
        drop(filters);
        self.moved.notify_one();
        self.progress.notify_waiters();
    }

    fn act(&self, filters: &mut [LiveFilter], stage: usize, action: Action) {
        match action {
            Action::Send(id, direction, part) => self.forward(filters, stage, id, direction, part),
            Action::Ended(id) => {
                // The filters behind it see no more of the stream.
                if let Some(next) = filters.get_mut(stage + 1) {
                    next.disconnected(id);
                }
                if stage == 0
                    && let Some(stream) = self.streams.borrow_mut().remove(&id)
                {
                    stream.tasks.iter().for_each(AbortHandle::abort);
                    self.trace.ended(&stream.line);
                    if let (Some(hub), Some(recording)) = (&self.trace.hub, &stream.recording) {
                        hub.end(recording);
                    }
                }
            }
            Action::Call(call) => {
                let (this, callers) = (Weak::clone(&self.this), Rc::clone(&self.callers));
                let recording = self.recording(call.stream);
                if let Some(recording) = &recording {
                    recording.call(stage, &call);
                }
                tokio::task::spawn_local(async move {
                    let token = call.token;
                    let end = callers.call(call).await.unwrap_or(CallEnd::Failed);
                    if let Some(recording) = &recording {
                        recording.called(stage, token, &end);
                    }
                    if let Some(this) = this.upgrade() {
                        this.with(stage, |filter| filter.call_ended(token, end));
                    }
                });
            }
            Action::Grpc(action) => self.grpc(stage, action),
            Action::Events(id, events) => self.events(stage, id, &events),
            _ => {}
        }
    }

    /// Passes a part that a filter has forwarded to the next filter, to the upstream or to the
    /// client.
    fn forward(&self, filters: &mut [LiveFilter], stage: usize, id: u64, direction: Direction, part: Part) {
        let next = match direction {
            Direction::ToUpstream => stage.checked_add(1),
            Direction::ToClient => stage.checked_sub(1),
        };
        if let Some(next) = next.and_then(|next| filters.get_mut(next)) {
            return self.pass(next, id, direction, part);
        }
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&id) else { return };
        if let Some(recording) = &stream.recording {
            recording.part(direction, Side::After, &part);
        }
        match direction {
            Direction::ToUpstream => stream.to_upstream.send(part),
            Direction::ToClient => {
                stream.line.note(&part);
                stream.to_client.send(part);
            }
        }
    }

    /// What the page shows of a stream.
    fn recording(&self, id: Option<u64>) -> Option<Arc<Recording>> {
        self.streams.borrow().get(&id?)?.recording.clone()
    }

    /// Does a step of a gRPC call or stream.
    fn grpc(&self, stage: usize, action: GrpcAction) {
        match action {
            GrpcAction::Begin(call) => {
                let (this, callers) = (Weak::clone(&self.this), Rc::clone(&self.callers));
                let (sender, receiver) = pipe();
                let (token, recording) = (call.token, self.recording(call.stream));
                if let Some(recording) = &recording {
                    recording.rpc(stage, &call);
                }
                let recorded = recording.clone();
                let report = move |event: GrpcEvent| {
                    if let Some(recording) = &recorded {
                        recording.rpc_event(stage, token, &event);
                    }
                    if let Some(this) = this.upgrade() {
                        this.with(stage, |filter| filter.grpc(token, event));
                    }
                };
                let task = tokio::task::spawn_local(async move { callers.rpc(call, receiver, report).await });
                let rpc = Rpc { to_server: sender, task: task.abort_handle(), recording };
                self.rpcs.borrow_mut().insert((stage, token), rpc);
            }
            GrpcAction::Send(token, bytes, end) => {
                if let Some(rpc) = self.rpcs.borrow().get(&(stage, token)) {
                    if let Some(recording) = &rpc.recording {
                        recording.rpc_sent(stage, token, &bytes, end);
                    }
                    rpc.to_server.send(Part::Data(bytes, end));
                }
            }
            // Its task ends with it.
            GrpcAction::Cancel(token) => drop(self.rpcs.borrow_mut().remove(&(stage, token))),
            _ => {}
        }
    }

    fn events(&self, stage: usize, id: Option<u64>, events: &[(Instant, Event)]) {
        self.trace.events(id, events);
        match (self.recording(id), &self.trace.hub) {
            (Some(recording), _) => recording.events(stage, events),
            (None, Some(hub)) => hub.events(stage, events),
            (None, None) => {}
        }
    }

    /// Passes a part from one filter to another.
    fn pass(&self, filter: &mut LiveFilter, id: u64, direction: Direction, part: Part) {
        match (part, direction) {
            (Part::Headers(headers, end), Direction::ToUpstream) => {
                let protocol = self.streams.borrow().get(&id).map(|stream| stream.protocol);
                filter.request_headers(id, protocol.unwrap_or(Protocol::Http1), headers, end);
            }
            (Part::Headers(headers, end), Direction::ToClient) => filter.response_headers(id, headers, end),
            (Part::Data(bytes, end), _) => filter.data(id, direction, bytes, end),
            (Part::Trailers(trailers), _) => filter.trailers(id, direction, &trailers),
            (Part::Reset, _) => filter.upstream_failed(id),
        }
    }

    fn due_in(&self) -> Option<Duration> {
        self.filters.borrow().iter().filter_map(LiveFilter::due_in).min()
    }

    fn tick(&self) {
        for filter in self.filters.borrow_mut().iter_mut() {
            filter.tick();
        }
        self.pump();
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        for (stage, filter) in self.filters.borrow_mut().iter_mut().enumerate() {
            filter.stop();
            for action in filter.actions() {
                if let Action::Events(id, events) = action {
                    self.events(stage, id, &events);
                }
            }
        }
    }
}

/// Runs ticks and timeouts when they are due, as long as the generation lives.
async fn tick(generation: Weak<Generation>) {
    /// How often a generation that has nothing to do is looked at.
    const IDLE: Duration = Duration::from_secs(1);
    loop {
        let Some(this) = generation.upgrade() else { return };
        let due = this.due_in().unwrap_or(IDLE).min(IDLE);
        if due.is_zero() {
            this.tick();
            drop(this);
            tokio::task::yield_now().await;
            continue;
        }
        let moved = Rc::clone(&this);
        drop(this);
        let slept = async {
            tokio::select! {
                () = tokio::time::sleep(due) => true,
                () = moved.moved.notified() => false,
            }
        };
        let slept = slept.await;
        drop(moved);
        if slept
            && let Some(this) = generation.upgrade()
            && this.due_in().is_some_and(|due| due.is_zero())
        {
            this.tick();
        }
    }
}
