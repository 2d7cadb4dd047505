//! A VM in the path of real traffic: many streams at once, between whose parts others have theirs.

use super::callouts::{End, RESET, Response, own};
use super::event;
use super::fields::{Kind, Map};
use super::functions::Functions;
use super::http::{Contexts, Ended, LiveStream};
use super::journal::Entry;
use super::machine::Machine;
use super::process::Process;
use super::stream::Which;
use super::vm::Guest;
use crate::action::{Action, Call, CallEnd, Direction, GrpcAction, GrpcEvent};
use crate::backend::{ConfigureError, Settings};
use crate::message::{Fields, Protocol};
use crate::record::VmRole;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One VM, and the streams in it.
pub(crate) struct LiveVm {
    machine: Machine,
    /// By the number that the caller gave it: the id of the stream, and what is known about it.
    streams: BTreeMap<u64, (u32, LiveStream)>,
    actions: Vec<Action>,
}

/// The time of the machine.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl LiveVm {
    /// Loads the module and starts its plugins.
    pub(crate) fn start(
        guest: &Guest,
        process: &Process,
        worker: usize,
        settings: &Settings,
        quiet: bool,
    ) -> Result<Self, ConfigureError> {
        let functions = Arc::new(Functions::new(process, worker));
        if quiet {
            functions.state().events.be_quiet();
        }
        let machine = Machine::boot(guest, functions, VmRole::Worker(worker), settings)?;
        let mut vm = Self { machine, streams: BTreeMap::new(), actions: Vec::new() };
        vm.note(None);
        Ok(vm)
    }

    pub(crate) fn failed(&self) -> bool {
        self.machine.vm.failed()
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn is_full(&self, id: u64, direction: Direction) -> bool {
        let limit = self.machine.functions.state().buffer_limit();
        self.streams.get(&id).is_some_and(|(_, live)| live.buffered(which(direction)) > limit)
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The request headers of a new stream.
    pub(crate) fn request_headers(&mut self, id: u64, protocol: Protocol, headers: Fields, end: bool) {
        self.pass_time();
        let stream = self.machine.new_stream();
        let context = stream.id;
        let functions = Arc::clone(&self.machine.functions);
        let mut contexts = Contexts::new(&self.machine.vm, &functions);
        let live = LiveStream::begin(&mut contexts, stream, protocol, headers, end);
        functions.state().park();
        self.streams.insert(id, (context, live));
        self.step(id, LiveStream::request);
    }

    /// The response headers of the upstream.
    pub(crate) fn response_headers(&mut self, id: u64, headers: Fields, end: bool) {
        self.pass_time();
        self.step(id, |live, contexts| live.response(contexts, headers, end));
    }

    /// A chunk of a body.
    pub(crate) fn data(&mut self, id: u64, direction: Direction, bytes: Vec<u8>, end: bool) {
        self.pass_time();
        self.step(id, |live, contexts| live.data(contexts, which(direction), bytes, end));
    }

    /// Trailers.
    pub(crate) fn trailers(&mut self, id: u64, direction: Direction, fields: &Fields) {
        self.pass_time();
        self.step(id, |live, contexts| live.trailers(contexts, which(direction), fields));
    }

    /// The upstream does not respond, or not to the end.
    pub(crate) fn upstream_failed(&mut self, id: u64) {
        self.pass_time();
        self.step(id, |live, _| live.upstream_failed());
    }

    /// The client disconnected.
    pub(crate) fn disconnected(&mut self, id: u64) {
        self.pass_time();
        self.end(id);
        self.stir();
    }

    /// A callout has ended.
    pub(crate) fn call_ended(&mut self, token: u32, end: CallEnd) {
        let end = match end {
            CallEnd::Failed => End::Response(own(503, RESET)),
            CallEnd::Response(headers, body, trailers) => End::Response(Response {
                headers: Map::from_fields(Kind::Response, &headers),
                body,
                trailers: (!trailers.is_empty()).then(|| Map::from_fields(Kind::Trailers, &trailers)),
                is_own: false,
            }),
        };
        self.machine.functions.state().callouts.end_live(token, now(), end);
        self.tick();
    }

    /// A part of a response of gRPC has come.
    pub(crate) fn grpc(&mut self, token: u32, event: GrpcEvent) {
        self.machine.functions.state().rpcs.arrive(token, now(), event);
        self.tick();
    }

    /// Runs what is due now.
    pub(crate) fn tick(&mut self) {
        self.pass_time();
        self.stir();
    }

    /// How long until something is due.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let state = self.machine.functions.state();
        let due = state.clock.tick_due().into_iter().chain(state.callouts.due()).chain(state.rpcs.due()).min()?;
        Some(due.saturating_sub(now()))
    }

    /// Ends the plugins.
    pub(crate) fn stop(&mut self) {
        self.machine.stop();
        self.note(None);
    }

    /// The clock goes on to the real time, and what is due by then runs.
    fn pass_time(&mut self) {
        let functions = Arc::clone(&self.machine.functions);
        functions.state().clock.go_on_to(now());
        event::tell(&self.machine.vm, &functions);
        event::deliver_due(&self.machine.vm, &functions);
        self.note(None);
    }

    /// Collects what the module has done, and the callouts that it has made.
    fn note(&mut self, id: Option<u64>) {
        let (entries, calls, rpcs) = {
            let mut state = self.machine.functions.state();
            // No test asks for them: they would only take memory.
            state.violations.clear();
            state.left.clear();
            (state.events.take_entries(), state.callouts.take_live(), state.rpcs.take_live())
        };
        for Entry { at, about, event } in entries {
            let of = about.and_then(|context| self.stream_of(context)).or(id);
            match self.actions.last_mut() {
                Some(Action::Events(before, events)) if *before == of => events.push((at, event)),
                _ => self.actions.push(Action::Events(of, vec![(at, event)])),
            }
        }
        for (context, call) in calls {
            let call = Call { stream: self.stream_of(context), ..call };
            self.actions.push(Action::Call(call));
        }
        for (context, mut action) in rpcs {
            if let GrpcAction::Begin(call) = &mut action {
                call.stream = self.stream_of(context);
            }
            self.actions.push(Action::Grpc(action));
        }
    }

    /// The number of the stream with this context.
    fn stream_of(&self, context: u32) -> Option<u64> {
        self.streams.iter().find(|(_, (of, _))| *of == context).map(|(id, _)| *id)
    }

    /// Takes a step of one stream, and of those that it resumes.
    fn step(&mut self, id: u64, body: impl FnOnce(&mut LiveStream, &mut Contexts) -> Result<(), Ended>) {
        self.step_one(id, body);
        self.stir();
    }

    fn step_one(&mut self, id: u64, body: impl FnOnce(&mut LiveStream, &mut Contexts) -> Result<(), Ended>) {
        let Some((context, live)) = self.streams.get_mut(&id) else { return };
        let functions = Arc::clone(&self.machine.functions);
        if !functions.state().unpark(|stream| stream.id == *context) {
            return;
        }
        let mut contexts = Contexts::new(&self.machine.vm, &functions);
        live.conceal(&contexts);
        let stepped = if contexts.failed() { Err(Ended::Failed) } else { body(live, &mut contexts) };
        let mut parts = Vec::new();
        let over = live.settle(&mut contexts, stepped, &mut parts);
        live.expose(&contexts);
        functions.state().park();
        event::tell(&self.machine.vm, &functions);
        self.note(Some(id));
        self.actions.extend(parts.into_iter().map(|(direction, part)| Action::Send(id, direction, part)));
        if over {
            self.end(id);
        }
    }

    /// Steps of the streams that a completion, a tick or another stream has resumed, answered or
    /// closed; and of all streams, if the VM has failed.
    fn stir(&mut self) {
        // Each round ends or resumes a stream: this is more than any module needs.
        for _ in 0..10_000 {
            let functions = Arc::clone(&self.machine.functions);
            event::deliver_due(&self.machine.vm, &functions);
            self.note(None);
            let failed = self.failed();
            let stirred = functions
                .state()
                .parked
                .iter()
                .find(|stream| {
                    let continued = !stream.request.continued.is_empty() || !stream.response.continued.is_empty();
                    failed || stream.closed || stream.local_reply.is_some() || continued
                })
                .map(|stream| stream.id);
            let id = stirred.and_then(|context| self.streams.iter().find(|(_, (other, _))| *other == context));
            let Some(id) = id.map(|(id, _)| *id) else { return };
            self.step_one(id, |_, _| Ok(()));
        }
    }

    /// The end of a stream: its filters log, and their contexts are deleted.
    fn end(&mut self, id: u64) {
        let Some((context, mut live)) = self.streams.remove(&id) else { return };
        let functions = Arc::clone(&self.machine.functions);
        if !functions.state().unpark(|stream| stream.id == context) {
            return;
        }
        let mut contexts = Contexts::new(&self.machine.vm, &functions);
        live.conceal(&contexts);
        contexts.close();
        contexts.end();
        self.machine.end_retired();
        self.note(Some(id));
        self.actions.push(Action::Ended(id));
    }
}

const fn which(direction: Direction) -> Which {
    match direction {
        Direction::ToUpstream => Which::Request,
        Direction::ToClient => Which::Response,
    }
}
