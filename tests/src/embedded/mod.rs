//! The embedded host: the life of a plugin, of HTTP streams and of TCP connections, as Envoy 1.40
//! plays it.

pub(crate) mod abi;
pub(crate) mod access;
mod access_log;
mod attribute;
mod backs;
mod callout;
mod callout_server;
mod callouts;
mod clock;
#[cfg(feature = "expressions")]
mod compiled;
mod emscripten;
mod event;
#[cfg(feature = "expressions")]
mod expression;
pub(crate) mod fields;
mod flags;
mod flight;
mod foreign;
mod functions;
mod grpc_service;
mod happening;
mod http;
mod info;
mod journal;
mod live;
mod machine;
mod metadata;
mod metric;
mod older;
mod other_hosts;
mod pending;
mod process;
mod property;
mod protobuf;
mod random;
mod root;
mod rpc;
mod rpc_server;
mod rpcs;
mod shared;
#[cfg(feature = "signatures")]
mod signature;
mod start_time;
mod state;
mod stream;
mod tcp;
mod valid;
mod vm;
mod waiting;
mod wasi;
mod wire;

pub(crate) use live::LiveVm;
pub(crate) use process::Process;
pub(crate) use vm::{Guest, Verdict, judge};
pub(crate) use waiting::is_paused_for_ever;

use crate::backend::{Answer, Backend, ConfigureError, Settings};
use crate::blocks;
use crate::host_profile::{HostProfile, Quirk};
use crate::message::Request;
use crate::record::{Event, Record, VmRole};
use crate::spent::Spent;
use crate::tcp::{CONNECTS, ConnectionRecord, Step};
use crate::usage::Usage;
use crate::violation::Violation;
use flight::Flight;
use functions::Functions;
use http::{Contexts, Exchange, Waits};
use machine::Machine;
use state::{Fault, State};
use std::sync::Arc;
use std::time::Duration;

/// The embedded host: the VMs of one process.
pub(crate) struct Embedded {
    guest: Guest,
    process: Process,
    /// One worker's; or the main thread's and those of several workers.
    machines: Vec<Machine>,
    /// How many VMs there have been.
    vms: usize,
    settings: Settings,
    /// What the wall clock says in VMs that start, if a test has set it before any did.
    wall: Option<Duration>,
    /// The worker that serves the next exchange, and whether a test chose it.
    worker: usize,
    chosen: bool,
    /// Exchanges that were begun and not finished.
    flights: Vec<Flight>,
    started_elsewhere: Vec<(VmRole, Vec<Event>)>,
    /// Of VMs that have ended.
    violations: Vec<Violation>,
}

impl Embedded {
    pub(crate) fn new(guest: Guest) -> Self {
        Self {
            guest,
            process: Process::default(),
            machines: Vec::new(),
            vms: 0,
            settings: Settings::default(),
            wall: None,
            worker: 0,
            chosen: false,
            flights: Vec::new(),
            started_elsewhere: Vec::new(),
            violations: Vec::new(),
        }
    }

    fn boot(&mut self, process: &Process, of: VmRole, settings: &Settings) -> Result<Machine, ConfigureError> {
        self.vms += 1;
        let functions = Arc::new(Functions::new(process, self.vms));
        if let Some(wall) = self.wall() {
            functions.state().clock.set_wall(wall);
        }
        Machine::boot(&self.guest, Arc::clone(&functions), of, settings)
            .inspect_err(|_| self.violations.append(&mut functions.state().violations))
    }

    /// What the wall clock says, if a test has set it.
    fn wall(&self) -> Option<Duration> {
        let running = self.machines.first().map(|machine| machine.functions.state().clock.wall());
        self.wall.map(|wall| running.unwrap_or(wall))
    }

    /// Tries a configuration in a canary VM, which ends without a callback. What it did.
    fn try_out(&mut self, process: &Process, settings: &Settings) -> Result<Vec<Event>, ConfigureError> {
        let canary = self.boot(process, VmRole::Canary, settings)?;
        let events = canary.events();
        self.retire(&canary);
        Ok(events)
    }

    /// Keeps the violations of a VM that ends.
    fn retire(&mut self, machine: &Machine) {
        self.violations.append(&mut machine.functions.state().violations);
    }

    fn start_all(&mut self, settings: &Settings) -> Result<(), ConfigureError> {
        let process = self.process.clone();
        if settings.workers == 0 {
            let machine = self.boot(&process, VmRole::Worker(0), settings)?;
            self.machines.push(machine);
            if let Some(service) = &settings.service {
                let mut main = self.boot(&process, VmRole::Main, settings)?;
                main.start_service(service.clone())?;
                self.machines.push(main);
            }
            self.catch_up();
            return Ok(());
        }
        let events = self.try_out(&process, settings)?;
        self.started_elsewhere.push((VmRole::Canary, events));
        for of in std::iter::once(VmRole::Main).chain((0..settings.workers).map(VmRole::Worker)) {
            let mut machine = self.boot(&process, of, settings)?;
            if let (VmRole::Main, Some(service)) = (of, &settings.service) {
                machine.start_service(service.clone())?;
            }
            self.machines.push(machine);
        }
        self.catch_up();
        Ok(())
    }

    /// The index of a worker's VM.
    fn index_of(&self, worker: usize) -> usize {
        self.machines.iter().position(|machine| machine.of == VmRole::Worker(worker)).unwrap_or_default()
    }

    /// The worker that serves the next exchange: the chosen one, or one after the other.
    fn next_worker(&mut self) -> usize {
        if !std::mem::take(&mut self.chosen) {
            self.worker += 1;
        }
        self.index_of(self.worker % self.settings.workers.max(1))
    }

    /// Lets all VMs come to the same time, and notifies those that have registered queues of
    /// their items.
    fn catch_up(&mut self) {
        let now = self.now_of_all();
        // A callback in one VM may enqueue items for another.
        for _ in 0..self.machines.len() {
            for machine in &mut self.machines {
                machine.catch_up(now);
            }
        }
        flight::play(&mut self.flights, &mut self.machines, now, |_| false);
    }

    fn end_retired(&self) {
        for machine in &self.machines {
            machine.end_retired();
        }
    }

    /// The time until the next step of a connection: what is due comes, and the module may resume
    /// or close the connection in it.
    fn pass_time(&mut self, connection: &mut tcp::Connection) {
        let end = self.now_of_all() + tcp::STEP;
        for machine in &self.machines {
            event::tell(&machine.vm, &machine.functions);
        }
        connection.stir();
        while flight::play_next(&self.machines, end) {
            connection.stir();
        }
        for machine in &self.machines {
            machine.functions.state().clock.go_on_to(end);
        }
    }

    /// The events of the VMs since the previous call: of the one that serves, and of the others.
    fn record(&self, serving: usize) -> Record {
        let mut record = Record::default();
        for (index, machine) in self.machines.iter().enumerate() {
            let events = machine.events();
            record.waiting.append(&mut machine.functions.state().left);
            for (cluster, mut calls) in machine.functions.state().callouts.take_received() {
                record.calls.entry(cluster).or_default().append(&mut calls);
            }
            if index == serving {
                record.events = events;
            } else if !events.is_empty() {
                record.elsewhere.push((machine.of, events));
            }
        }
        record
    }
}

impl Embedded {
    /// Adds an exchange to those in flight, and lets it take its first step. `held`: its upstream
    /// does not respond before it is finished.
    fn launch(&mut self, id: u64, request: &Request, answer: &Answer, held: bool) {
        let index = self.next_worker();
        let spent = self.spent();
        let now = self.now_of_all();
        let (request, answer) = &seen_by(self.settings.profile, request, answer);
        // What happened before belongs to no exchange.
        let mut before = self.record(index);
        before.calls.clear();
        self.separate(index, None, &mut before);
        let Some(machine) = self.machines.get_mut(index) else { return };
        machine.functions.state().clock.go_on_to(now);
        let decoded = http::decode(request, &self.settings.upgrades);
        let stream = decoded.has_stream().then(|| {
            let mut stream = machine.new_stream();
            stream.info.source = info::Info::source_of(request);
            let objects = self.settings.filter_state.iter();
            stream.objects.extend(objects.map(|(key, value)| (key.clone().into_bytes(), value.clone().into_bytes())));
            stream
        });
        let filters = stream.iter().flat_map(|stream| &stream.filters);
        let contexts_of_stream = filters.map(|filter| filter.id).collect();
        let contexts = Contexts::new(&machine.vm, &machine.functions);
        let exchange = Exchange::new(contexts, decoded, stream, request, answer, held);
        machine.functions.state().park();
        let mut flight = Flight::new(id, index, exchange, contexts_of_stream, spent);
        flight.before = before;
        flight.step(&mut self.machines, false);
        self.flights.push(flight);
    }

    /// Plays what comes until this time, or until an exchange is as far as this.
    fn play_until(&mut self, id: u64, end: Duration, enough: impl Fn(&Flight) -> bool) {
        let enough = |flights: &[Flight]| flights.iter().any(|flight| flight.id == id && enough(flight));
        flight::play(&mut self.flights, &mut self.machines, end, enough);
    }

    /// What has happened since the last record belongs to this exchange.
    fn note_beginning(&mut self, id: u64) {
        let Some(index) = self.flights.iter().position(|flight| flight.id == id) else { return };
        let Some(number) = self.flights.get(index).map(|flight| flight.machine) else { return };
        let calls = self.machines.get(number).map(|machine| machine.functions.state().callouts.put_away());
        let mut record = self.record(number);
        self.separate(number, Some(id), &mut record);
        if let Some(flight) = self.flights.get_mut(index) {
            flight.calls = calls.unwrap_or_default();
            append(&mut flight.before, record);
        }
    }

    /// The callbacks of streams in flight belong to these, whenever they happen.
    fn separate(&mut self, machine: usize, but: Option<u64>, record: &mut Record) {
        for flight in self.flights.iter_mut().filter(|flight| flight.machine == machine && Some(flight.id) != but) {
            let is_own = |context: u64| flight.contexts.iter().any(|own| u64::from(*own) == context);
            flight.before.events.append(&mut blocks::take_of(&mut record.events, is_own));
        }
    }

    /// The time of the VM that is ahead of the others.
    fn now_of_all(&self) -> Duration {
        self.machines.iter().map(|machine| machine.functions.state().clock.now()).max().unwrap_or_default()
    }

    /// The sum of a number over all VMs.
    fn count(&self, of: impl Fn(&State) -> usize) -> usize {
        self.machines.iter().map(|machine| of(&machine.functions.state())).sum()
    }

    /// What the VMs have done since they were started, without host calls, and the memory that they
    /// have.
    pub(crate) fn spent(&self) -> Spent {
        self.machines.iter().fold(Spent::default(), |spent, machine| spent.plus(machine.vm.spent()))
    }
}

#[cfg(feature = "wasmtime")]
impl Embedded {
    /// Begins streams that stay as they are: alive, and not called any more. If the module has no
    /// callback for their creation, they begin with their response's headers, which are not
    /// available.
    pub(crate) fn create_streams(&mut self, count: u32, is_told: bool) {
        let Some(machine) = self.machines.first_mut() else { return };
        for _ in 0..count {
            for filter in machine.new_stream().filters {
                if is_told {
                    machine.vm.call("proxy_on_context_create", &[filter.id, filter.root]);
                } else {
                    machine.vm.call("proxy_on_response_headers", &[filter.id, 0, 0]);
                }
            }
            drop(machine.events());
        }
    }
}

/// The messages as a host shows them to filters: without trailers if it has no callback for them,
/// and the body of a request as a whole.
fn seen_by(host: HostProfile, request: &Request, answer: &Answer) -> (Request, Answer) {
    let (mut request, mut answer) = (request.clone(), Answer::clone(answer));
    let is_whole = !request.is_tunnel() && request.answered.chunks().is_none();
    if is_whole && host.plays(Quirk::RequestBodyIsOneChunk) {
        request.body = request.body.whole();
    }
    if host.suppresses("proxy_on_request_trailers") {
        request.trailers.clear();
        let with_trailers = answer;
        answer = Arc::new(move |received| {
            let mut reply = with_trailers(received);
            reply.trailers.clear();
            reply
        });
    }
    (request, answer)
}

/// The bytes of a page of memory.
const PAGE: usize = 64 * 1024;

/// How many host functions the module called.
fn host_calls(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::HostCall { .. } | Event::Log(_))).count()
}

/// Appends what happened later.
fn append(record: &mut Record, later: Record) {
    record.events.extend(later.events);
    record.waiting.extend(later.waiting);
    for (of, events) in later.elsewhere {
        match record.elsewhere.iter_mut().find(|(found, _)| *found == of) {
            Some((_, before)) => before.extend(events),
            None => record.elsewhere.push((of, events)),
        }
    }
    for (cluster, calls) in later.calls {
        record.calls.entry(cluster).or_default().extend(calls);
    }
}

impl Backend for Embedded {
    fn start(&mut self, settings: &Settings) -> Result<Vec<Event>, ConfigureError> {
        self.process = Process::default();
        self.wall = self.wall();
        self.machines.clear();
        self.vms = 0;
        self.flights.clear();
        self.started_elsewhere.clear();
        self.settings = settings.clone();
        let host = settings.profile;
        if settings.tcp && host.suppresses("proxy_on_new_connection") {
            let reason = format!("{host} has no filters of TCP connections");
            return Err(ConfigureError { events: Vec::new(), reason });
        }
        if let Some(reason) = access_log::refusal(settings) {
            return Err(ConfigureError { events: Vec::new(), reason });
        }
        // The first exchange goes to the first worker.
        self.worker = settings.workers.max(1) - 1;
        if let Err(refused) = self.start_all(settings) {
            for machine in std::mem::take(&mut self.machines) {
                self.retire(&machine);
            }
            return Err(refused);
        }
        let Record { events, elsewhere, .. } = self.record(self.index_of(0));
        self.started_elsewhere.extend(elsewhere);
        Ok(events)
    }

    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
        let id = u64::MAX;
        self.launch(id, request, answer, false);
        self.finish(id)
    }

    fn begin(&mut self, id: u64, request: &Request, answer: &Answer) -> bool {
        self.launch(id, request, answer, true);
        let is_begun = |flight: &Flight| flight.exchange.reached_the_upstream() || flight.exchange.has_ended();
        self.play_until(id, Duration::MAX, is_begun);
        self.note_beginning(id);
        self.flights.iter().any(|flight| flight.id == id && flight.exchange.reached_the_upstream())
    }

    fn start_exchange(&mut self, id: u64, request: &Request, answer: &Answer) {
        self.launch(id, request, answer, false);
        let now = self.now_of_all();
        self.play_until(id, now, |flight| flight.exchange.has_ended());
        self.note_beginning(id);
    }

    fn has_ended(&mut self, id: u64) -> bool {
        self.flights.iter().any(|flight| flight.id == id && flight.exchange.has_ended())
    }

    fn finish(&mut self, id: u64) -> Record {
        let Some(index) = self.flights.iter().position(|flight| flight.id == id) else { return Record::default() };
        if let Some(flight) = self.flights.get_mut(index).filter(|flight| flight.exchange.waits() == Waits::ForTest) {
            flight.exchange.release();
            flight.step(&mut self.machines, true);
        }
        self.play_until(id, Duration::MAX, |flight| flight.exchange.has_ended());
        let Flight { machine, exchange, before: mut record, calls, spent, .. } = self.flights.remove(index);
        if let Some(machine) = self.machines.get(machine) {
            machine.functions.state().callouts.put_back(calls);
        }
        match exchange.played() {
            Ok(played) => {
                (record.response, record.upstream) = (played.response, played.upstream);
                record.access_log = played.access_log;
            }
            Err(why) => record.not_played = Some(why),
        }
        self.catch_up();
        let mut later = self.record(machine);
        self.separate(machine, None, &mut later);
        append(&mut record, later);
        record.waiting.extend(self.waiting());
        record.spent = self.spent().since(spent).with_host_calls(host_calls(&record.events));
        record
    }

    fn choose_worker(&mut self, worker: usize) {
        (self.worker, self.chosen) = (worker, true);
    }

    fn reconfigure(&mut self, settings: &Settings) -> Result<Record, ConfigureError> {
        // With one VM, the canary VM is hidden from the test: it must have no effects.
        let process = if settings.workers == 0 { Process::default() } else { self.process.clone() };
        let events = self.try_out(&process, settings)?;
        self.settings = settings.clone();
        let mut record = Record::default();
        if settings.workers > 0 {
            record.elsewhere.push((VmRole::Canary, events));
        }
        let plugin = settings.plugins().into_iter().next();
        let service_only = settings.workers == 0;
        for machine in self.machines.iter_mut().filter(|machine| !(service_only && machine.of == VmRole::Main)) {
            if let Some(plugin) = &plugin {
                machine.start_root(0, plugin.clone())?;
            }
        }
        self.end_retired();
        self.catch_up();
        append(&mut record, self.record(self.index_of(0)));
        record.waiting.extend(self.waiting());
        Ok(record)
    }

    fn started_elsewhere(&mut self) -> Vec<(VmRole, Vec<Event>)> {
        std::mem::take(&mut self.started_elsewhere)
    }

    fn connection(&mut self, script: &[Step]) -> ConnectionRecord {
        let index = self.next_worker();
        let now = self.now_of_all();
        let mut record = self.record(index);
        let Some(machine) = self.machines.get_mut(index) else { return ConnectionRecord::default() };
        machine.functions.state().clock.go_on_to(now);
        let stream = machine.new_stream();
        let mut connection = tcp::Connection::open(&machine.vm, &machine.functions, stream);
        self.pass_time(&mut connection);
        let mut steps = vec![connection.moment(CONNECTS.to_owned())];
        for step in script {
            connection.step(step);
            self.pass_time(&mut connection);
            steps.push(connection.moment(step.title()));
        }
        if let Some(machine) = self.machines.get(index) {
            machine.functions.state().stream = None;
        }
        self.end_retired();
        self.catch_up();
        let later = self.record(index);
        append(&mut record, later);
        ConnectionRecord { steps, events: record.events, elsewhere: record.elsewhere, failure: None }
    }

    fn advance(&mut self, by: Duration) -> Record {
        let spent = self.spent();
        let end = self.machines.first().map(|machine| machine.functions.state().clock.now() + by).unwrap_or_default();
        for machine in &self.machines {
            event::tell(&machine.vm, &machine.functions);
        }
        // One after the other what is due first, so that time is the same everywhere.
        flight::play(&mut self.flights, &mut self.machines, end, |_| false);
        for machine in &mut self.machines {
            machine.catch_up(end);
        }
        self.catch_up();
        let serving = if self.settings.workers == 0 { self.index_of(0) } else { usize::MAX };
        let mut record = self.record(serving);
        self.separate(serving, None, &mut record);
        record.waiting.extend(self.waiting());
        record.spent = self.spent().since(spent).with_host_calls(host_calls(&record.events));
        record
    }

    fn clock(&mut self, time: Duration) {
        self.wall = Some(time);
        for machine in &self.machines {
            machine.functions.state().clock.set_wall(time);
        }
    }

    fn now(&self) -> Duration {
        let running = self.machines.first().map(|machine| machine.functions.state().clock.wall());
        running.or(self.wall).unwrap_or(clock::START)
    }

    fn metric(&mut self, name: &str) -> Option<u64> {
        self.process.metrics.named(name)
    }

    fn usage(&self) -> Option<Usage> {
        let pages: u64 = self.machines.iter().map(|machine| machine.vm.pages()).sum();
        Some(Usage {
            memory: usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE),
            shared_data: self.process.data.bytes(),
            queues: self.process.queues.bytes(),
            metrics: self.process.metrics.bytes(),
            calls: self.count(|state| state.callouts.pending.len() + state.rpcs.open.len()),
            root_contexts: self.count(|state| state.roots.len()),
            ticks: self.count(|state| state.clock.ticks().count()),
        })
    }

    fn shared_data(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.process.data.get(key).ok().map(|(value, _)| value)
    }

    fn queue(&mut self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.process.queues.all().into_iter().find(|(found, _)| found == name).map(|(_, items)| items)
    }

    fn fail_call(&mut self, call: usize, status: u32) -> bool {
        for machine in &self.machines {
            machine.functions.state().fault = Some(Fault { call, status, failed: None });
        }
        true
    }

    fn failed_call(&self) -> Option<&'static str> {
        self.machines.iter().find_map(|machine| machine.functions.state().fault.as_ref()?.failed)
    }

    fn stop(&mut self) -> Vec<Event> {
        self.flights.clear();
        let mut events = Vec::new();
        for mut machine in std::mem::take(&mut self.machines) {
            machine.stop();
            events.extend(machine.events());
            self.retire(&machine);
        }
        events
    }

    fn waiting(&self) -> Vec<String> {
        self.machines
            .iter()
            .flat_map(|machine| waiting::waiting(&machine.functions.state()).collect::<Vec<_>>())
            .collect()
    }

    fn violations(&self) -> Vec<Violation> {
        let running = self.machines.iter().flat_map(|machine| machine.functions.state().violations.clone());
        self.violations.iter().cloned().chain(running).collect()
    }
}
