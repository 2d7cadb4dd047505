//! An Envoy that runs: the exchanges and connections through it, those that a test pauses at the
//! upstream, and new configurations.

use super::process::{DRAIN, Process};
use super::reader::{self, Shared};
use super::upstream::Upstream;
use super::wire::{Pace, Wire};
use super::{bootstrap, http1, http2, tcp};
use crate::backend::{Answer, ConfigureError, Settings};
use crate::blocks;
use crate::cluster::{Cluster, Endpoint};
use crate::fixture;
use crate::message::{Protocol, Received, Request};
use crate::record::{Event, Record, VmRole};
use crate::tcp::{ConnectionRecord, Step};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a stream may take to end after the client has its response.
pub(super) const END_OF_STREAM: Duration = Duration::from_secs(3);
/// How long the first line of a stream may take from Envoy's worker to this process.
pub(super) const FIRST_EVENT: Duration = Duration::from_secs(1);
/// A pause this long between lines means that there are no more.
pub(super) const SETTLE: Duration = Duration::from_millis(30);

/// How long an old root context may take to come to its end after its connections have been
/// drained.
pub(super) const END_OF_ROOT: Duration = Duration::from_secs(3);

/// An exchange in flight, with its client on a thread of its own.
pub(super) struct Flight {
    /// What the test calls it.
    id: u64,
    client: JoinHandle<io::Result<Option<Received>>>,
    addresses: Option<Addresses>,
    /// Dropping it makes the upstream respond.
    gate: Option<Sender<()>>,
    /// Whether the upstream has the request, and waits for the gate.
    held: bool,
    /// What has happened at its beginning.
    before: Vec<Event>,
    calls: BTreeMap<String, Vec<(usize, Received)>>,
    /// Its first context, with the thread of its VM. The contexts of other filters follow.
    context: Option<(u64, u64)>,
}

/// The addresses of a client.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    /// Where it connects from.
    peer: SocketAddr,
    /// The address that it has for Envoy.
    source: SocketAddr,
}

/// A reply function that reports the request, and does not return until the gate is opened.
pub(super) fn held_back(answer: &Answer, reached: Sender<()>, gate: Receiver<()>) -> Answer {
    let answer = Arc::clone(answer);
    let (reached, gate) = (Mutex::new(reached), Mutex::new(gate));
    Arc::new(move |request| {
        // The receiver was dropped if the test has ended.
        let _ = reached.lock().unwrap_or_else(PoisonError::into_inner).send(());
        let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
        answer(request)
    })
}

/// What the VM that serves has done, and what the others have.
pub(super) type Started = (Vec<Event>, Vec<(VmRole, Vec<Event>)>);

/// An Envoy that accepted its configuration, and the upstream it knows.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) behind: Behind,
    /// The servers that the module calls, by the name of their cluster.
    pub(super) servers: BTreeMap<String, Upstream>,
    pub(super) module: PathBuf,
    pub(super) settings: Settings,
    /// Whether Envoy's log has the end of a stream: at trace level, for a module that exports both
    /// ends of a stream.
    pub(super) told: bool,
    /// How many clients have connected.
    pub(super) connections: usize,
    /// Exchanges that were begun and are not finished.
    pub(super) flights: Vec<Flight>,
    /// There are root contexts that wait for their last stream.
    pub(super) retiring: bool,
    /// Where shared data can be read, once a test has read any.
    pub(super) reader: Option<SocketAddr>,
}

/// What is behind Envoy.
pub(super) enum Behind {
    /// A server of requests.
    Http(Upstream),
    /// A server of connections, for a plugin that filters those.
    Tcp(tcp::Server),
}

impl Behind {
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        if settings.tcp {
            return tcp::Server::start().map(Self::Tcp);
        }
        let clusters: Vec<&str> = bootstrap::upstreams(settings).collect();
        Upstream::start_for_exchanges(&clusters).map(Self::Http)
    }

    /// Where Envoy finds the server of each cluster.
    pub(super) fn addresses(&self) -> io::Result<BTreeMap<String, SocketAddr>> {
        Ok(match self {
            Self::Http(upstream) => upstream.addresses().iter().cloned().collect(),
            Self::Tcp(server) => BTreeMap::from([(fixture::CLUSTER.to_owned(), server.address()?)]),
        })
    }
}

impl Running {
    pub(super) fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
        self.calls();
        let (response, client) = match self.connect(request, answer) {
            Ok((wire, client)) => (send(wire, request), Some(client)),
            Err(error) => (Err(error), None),
        };
        self.wait_for_the_end();
        let upstream = self.received_from(client);
        self.record(client, response, upstream)
    }

    /// Connects a client, to whose request the upstream responds so. The connection, and the
    /// client's addresses.
    fn connect(&mut self, request: &Request, answer: &Answer) -> io::Result<(Wire, Addresses)> {
        let listener = self.process.listener();
        let mut wire = Wire::connect(listener)?;
        self.connections += 1;
        let peer = wire.local_address()?;
        let client = Addresses { peer, source: request.source.unwrap_or(peer) };
        if let Some(source) = request.source {
            wire.send(proxy_line(source, listener).as_bytes())?;
        }
        if let Behind::Http(upstream) = &self.behind {
            upstream.expect_from(client.source, answer, request.answered);
        }
        Ok((wire, client))
    }

    /// An exchange that has ended.
    fn record(
        &mut self,
        client: Option<Addresses>,
        response: io::Result<Option<Received>>,
        upstream: Option<Received>,
    ) -> Record {
        let access_log = client.and_then(|client| {
            // With TLS, Envoy itself is the peer.
            self.process.access_log_of(Some(client.peer).filter(|_| self.settings.tls.is_none()))
        });
        let calls = self.calls();
        let (mut events, elsewhere) = self.events();
        self.separate(&mut events);
        let failure = match &response {
            _ if self.process.has_ended() => Some(self.process.obituary("Envoy ended during the exchange")),
            Err(error) => Some(self.process.obituary(&format!("the client could not talk to Envoy: {error}"))),
            Ok(_) => None,
        };
        Record {
            response: response.unwrap_or_default(),
            upstream,
            calls,
            access_log,
            events,
            elsewhere,
            failure,
            ..Record::default()
        }
    }

    /// The events of the VMs since the previous call: of the one that serves, and of the others if
    /// the test reads them.
    fn events(&self) -> Started {
        match self.settings.workers {
            0 if self.settings.service.is_none() => (self.process.journal().take(), Vec::new()),
            0 => {
                let main = self.process.journal().take_main();
                (self.process.journal().take(), vec![(VmRole::Main, main)])
            }
            _ => self.process.journal().take_by_vm(),
        }
    }

    /// The events of the VMs during the start of the plugin. The first worker is the one that the
    /// log names first.
    pub(super) fn start_events(&self) -> Started {
        let (events, mut elsewhere) = self.events();
        if self.settings.workers == 0 {
            return (events, elsewhere);
        }
        elsewhere.push((VmRole::Canary, self.process.journal().canary()));
        let first = elsewhere.iter().position(|(of, _)| *of == VmRole::Worker(0));
        (first.map(|index| elsewhere.remove(index).1).unwrap_or_default(), elsewhere)
    }

    /// What the upstream has received from a client.
    fn received_from(&self, client: Option<Addresses>) -> Option<Received> {
        match (&self.behind, client) {
            (Behind::Http(upstream), Some(client)) => upstream.take_from(client.source),
            _ => None,
        }
    }

    pub(super) fn connection(&mut self, script: &[Step]) -> ConnectionRecord {
        let Behind::Tcp(server) = &self.behind else {
            return ConnectionRecord {
                failure: Some("the plugin filters requests".to_owned()),
                ..ConnectionRecord::default()
            };
        };
        self.calls();
        let progress = || self.process.journal().count();
        let played = tcp::play(self.process.listener(), server, script, &progress);
        self.wait_for_the_end();
        let (events, elsewhere) = self.events();
        let failure = match &played {
            _ if self.process.has_ended() => Some(self.process.obituary("Envoy ended during the connection")),
            Err(error) => Some(self.process.obituary(&format!("the connection could not be played: {error}"))),
            Ok(_) => None,
        };
        ConnectionRecord { steps: played.unwrap_or_default(), events, elsewhere, failure }
    }

    /// What happened without an exchange.
    pub(super) fn aside(&mut self) -> Record {
        let failure =
            self.process.has_ended().then(|| self.process.obituary("Envoy ended while no request was in flight"));
        let (mut events, elsewhere) = self.events();
        self.separate(&mut events);
        Record { calls: self.calls(), events, elsewhere, failure, ..Record::default() }
    }

    /// The messages that the servers received since the previous call.
    pub(super) fn calls(&self) -> BTreeMap<String, Vec<Received>> {
        let calls = self.servers.iter().map(|(name, server)| (name.clone(), server.take()));
        calls.filter(|(_, received)| !received.is_empty()).collect()
    }

    /// Waits until Envoy has finished all streams but those in flight: both connections closed, the
    /// upstream's threads idle, the last callback logged.
    fn wait_for_the_end(&self) {
        let limit = Instant::now() + END_OF_STREAM;
        // A stream that is not held may be anywhere, so that Envoy's counters say nothing.
        let is_counted = self.flights.iter().all(|flight| flight.held);
        while is_counted && Instant::now() < limit && !self.is_idle().unwrap_or(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.told {
            self.wait_for_events();
            self.process.journal().wait_for_deletes(
                |context| self.is_in_flight(context),
                limit.saturating_duration_since(Instant::now()),
            );
            // Envoy may call once more for a stream that it has deleted.
            std::thread::sleep(SETTLE / 5);
        } else {
            self.process.journal().settle(SETTLE);
        }
        if self.settings.workers > 0 || self.settings.service.is_some() || !is_counted {
            // What one VM does for another comes later.
            self.process.journal().settle(SETTLE);
        }
    }

    /// Waits until something has happened: the log may be behind what the client has seen. A VM
    /// that has failed says nothing any more, and no filter sees a request that Envoy cannot read.
    fn wait_for_events(&self) {
        let limit = Instant::now() + FIRST_EVENT;
        while self.process.journal().count() == 0 && Instant::now() < limit {
            // What Envoy logs of a connection, it has logged before it counts its end.
            if self.has_no_connection().unwrap_or_default() && self.process.journal().is_read() {
                return;
            }
            self.process.journal().wait_for_events(SETTLE / 5);
        }
    }

    /// Whether each connection of a client has ended.
    fn has_no_connection(&self) -> io::Result<bool> {
        let stats = self.process.admin().stats(&[bootstrap::ACTIVE_CONNECTIONS, bootstrap::TOTAL_CONNECTIONS])?;
        let is = |name, number| stats.get(name) == Some(&number);
        Ok(is(bootstrap::ACTIVE_CONNECTIONS, 0) && is(bootstrap::TOTAL_CONNECTIONS, self.connections))
    }

    fn is_idle(&self) -> io::Result<bool> {
        let totals: BTreeMap<_, _> =
            self.servers.iter().map(|(name, server)| (bootstrap::connections_to(name), server)).collect();
        let opened = bootstrap::total_upstreams(&self.settings);
        let active = bootstrap::active_upstreams(&self.settings);
        let mut names = vec![bootstrap::ACTIVE_REQUESTS, bootstrap::ACTIVE_CONNECTIONS];
        names.extend(totals.keys().chain(&opened).chain(&active).map(String::as_str));
        let stats = self.process.admin().stats(&names)?;
        let of = |name: &str| stats.get(name).copied().unwrap_or(0);
        let sum = |names: &[String]| names.iter().map(|name| of(name)).sum::<usize>();
        let held = self.held();
        let served = match &self.behind {
            Behind::Http(upstream) => {
                of(bootstrap::ACTIVE_REQUESTS) == held && upstream.is_idle_after(sum(&opened), held)
            }
            Behind::Tcp(_) => of(bootstrap::ACTIVE_CONNECTIONS) == 0,
        };
        Ok(served && sum(&active) == held && totals.iter().all(|(total, server)| server.is_idle_after(of(total), 0)))
    }

    /// The number of requests that are held at the upstream.
    fn held(&self) -> usize {
        self.flights.iter().filter(|flight| flight.held).count()
    }

    /// Whether a stream context, with its thread, belongs to an exchange in flight.
    fn is_in_flight(&self, (thread, context): (u64, u64)) -> bool {
        let filters = self.settings.plugins().len() as u64;
        let mut firsts = self.flights.iter().filter_map(|flight| flight.context);
        firsts.any(|(of, first)| of == thread && (first..first + filters).contains(&context))
    }

    /// The callbacks of streams in flight belong to these, whenever they happen.
    fn separate(&mut self, events: &mut Vec<Event>) {
        let filters = self.settings.plugins().len() as u64;
        for flight in &mut self.flights {
            let Some((_, first)) = flight.context else { continue };
            let own = first..first + filters;
            flight.before.append(&mut blocks::take_of(events, |context| own.contains(&context)));
        }
    }

    /// Starts a client on a thread of its own.
    fn launch(&mut self, id: u64, request: &Request, answer: &Answer) -> Flight {
        self.calls();
        let (client, addresses) = match self.connect(request, answer) {
            Ok((wire, addresses)) => {
                let request = request.clone();
                (std::thread::spawn(move || send(wire, &request)), Some(addresses))
            }
            Err(error) => (std::thread::spawn(|| Err(error)), None),
        };
        let (before, calls) = (Vec::new(), BTreeMap::new());
        Flight { id, client, addresses, gate: None, held: false, before, calls, context: None }
    }

    /// Keeps an exchange that has begun, with what has happened.
    fn keep(&mut self, mut flight: Flight) {
        let mut events = self.process.journal().take();
        self.separate(&mut events);
        flight.before = events;
        flight.calls = self.servers.iter().map(|(name, server)| (name.clone(), server.put_away())).collect();
        let contexts = self.process.journal().streams();
        flight.context = contexts.into_iter().find(|context| !self.is_in_flight(*context));
        self.flights.push(flight);
    }

    pub(super) fn begin(&mut self, id: u64, request: &Request, answer: &Answer) -> bool {
        let (reached_sender, reached_receiver) = channel();
        let (gate, gate_receiver) = channel();
        let mut flight = self.launch(id, request, &held_back(answer, reached_sender, gate_receiver));
        flight.gate = Some(gate);
        while !flight.held && !flight.client.is_finished() {
            flight.held = reached_receiver.recv_timeout(Duration::from_millis(5)).is_ok();
        }
        let held = flight.held;
        if held {
            self.process.journal().wait_for_events(FIRST_EVENT);
            self.process.journal().settle(SETTLE);
            self.keep(flight);
        } else {
            self.flights.push(flight);
        }
        held
    }

    /// Starts an exchange, and waits until everything stands still.
    pub(super) fn start(&mut self, id: u64, request: &Request, answer: &Answer) {
        let flight = self.launch(id, request, answer);
        if self.told {
            self.process.journal().wait_for_events(FIRST_EVENT);
        }
        let limit = Instant::now() + END_OF_STREAM;
        self.process.journal().settle(SETTLE);
        while Instant::now() < limit && !self.is_still().unwrap_or(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process.journal().settle(SETTLE);
        self.keep(flight);
    }

    /// Whether all servers have responded to what they have received, or delay their response.
    fn is_still(&self) -> io::Result<bool> {
        let totals: BTreeMap<_, _> =
            self.servers.iter().map(|(name, server)| (bootstrap::connections_to(name), server)).collect();
        let opened = bootstrap::total_upstreams(&self.settings);
        let names: Vec<&str> = totals.keys().chain(&opened).map(String::as_str).collect();
        let stats = self.process.admin().stats(&names)?;
        let of = |name: &str| stats.get(name).copied().unwrap_or(0);
        let is_upstream_idle = match &self.behind {
            Behind::Http(upstream) => upstream.is_idle_after(opened.iter().map(|name| of(name)).sum(), self.held()),
            Behind::Tcp(_) => true,
        };
        Ok(is_upstream_idle && totals.iter().all(|(total, server)| server.is_idle_after(of(total), 0)))
    }

    /// Whether the client has its response.
    pub(super) fn has_ended(&self, id: u64) -> bool {
        let Some(flight) = self.flights.iter().find(|flight| flight.id == id) else { return false };
        let limit = Instant::now() + SETTLE;
        while !flight.client.is_finished() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
        flight.client.is_finished()
    }

    pub(super) fn finish(&mut self, id: u64) -> Option<Record> {
        let index = self.flights.iter().position(|flight| flight.id == id)?;
        let Flight { client, addresses, gate, before, calls, .. } = self.flights.remove(index);
        drop(gate);
        let response = client.join().unwrap_or_else(|_| Err(io::Error::other("the client's thread panicked")));
        self.wait_for_the_end();
        self.wait_for_retired();
        let upstream = self.received_from(addresses);
        for (name, calls) in calls {
            self.servers.get(&name).into_iter().for_each(|server| server.put_back(calls.clone()));
        }
        let mut record = self.record(addresses, response, upstream);
        record.events.splice(..0, before);
        Some(record)
    }

    /// Moves a new listener in place of the old one.
    pub(super) fn reconfigure(&mut self, settings: &Settings) -> io::Result<Result<Record, ConfigureError>> {
        let listeners = self.listeners(settings, self.reader.is_some());
        if !self.process.update(&listeners)? {
            self.process.journal().settle(SETTLE);
            let events = self.process.journal().trial();
            return Ok(Err(ConfigureError { events, reason: self.process.complaints() }));
        }
        self.settings = settings.clone();
        self.retiring = true;
        if self.told {
            self.process.journal().wait_for_events(FIRST_EVENT);
        }
        self.process.journal().settle(SETTLE);
        self.wait_for_retired();
        Ok(Ok(self.aside()))
    }

    fn listeners(&self, settings: &Settings, with_reader: bool) -> Value {
        let mut listeners = bootstrap::listeners(settings, &self.module);
        if with_reader {
            reader::add_to(&mut listeners, settings);
        }
        listeners
    }

    /// Reads what the VMs share. `None` if there is nothing of this name.
    pub(super) fn read(&mut self, shared: Shared, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.process.journal().ignore(Some(reader::CALLBACK));
        let read = self.ask_reader(shared, name);
        self.process.journal().settle(SETTLE);
        self.process.journal().ignore(None);
        read
    }

    fn ask_reader(&mut self, shared: Shared, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let address = if let Some(address) = self.reader {
            address
        } else {
            let listeners = self.listeners(&self.settings, true);
            if !self.process.update(&listeners)? {
                return Err(io::Error::other(self.process.complaints()));
            }
            let address = self.process.admin().listener_of(reader::NAME)?;
            *self.reader.insert(address)
        };
        reader::ask(address, shared, name).map_err(|error| io::Error::other(self.process.obituary(&error.to_string())))
    }

    /// Waits for the end of old root contexts, unless a stream needs them.
    fn wait_for_retired(&mut self) {
        if !self.retiring || !self.flights.is_empty() {
            return;
        }
        self.retiring = false;
        if self.told {
            let roots = self.settings.plugins().len() * self.settings.workers.max(1);
            self.process.journal().wait_for_roots(roots, DRAIN + END_OF_ROOT);
        } else {
            std::thread::sleep(DRAIN);
        }
        self.process.journal().settle(SETTLE);
    }
}

/// What a load balancer sends before the bytes of a client with this address: version 1 of the
/// PROXY protocol. Both addresses are of the same family.
fn proxy_line(source: SocketAddr, listener: SocketAddr) -> String {
    let (family, host) = match (source.is_ipv4(), listener.is_ipv4()) {
        (true, _) => ("TCP4", "127.0.0.1".to_owned()),
        (false, true) => ("TCP6", "::1".to_owned()),
        (false, false) => ("TCP6", listener.ip().to_string()),
    };
    format!("PROXY {family} {} {host} {} {}\r\n", source.ip(), source.port(), listener.port())
}

/// Sends a request as a client, and waits for the response.
fn send(wire: Wire, request: &Request) -> io::Result<Option<Received>> {
    match request.protocol {
        Protocol::Http1 => Ok(http1::exchange_on(wire, request)),
        Protocol::Http2 => http2::exchange_on(wire, request),
    }
}

/// A server for each cluster that has one.
pub(super) fn servers(clusters: &[Cluster]) -> io::Result<BTreeMap<String, Upstream>> {
    let mut servers = BTreeMap::new();
    for cluster in clusters {
        let server = Upstream::start(Pace::AtOnce)?;
        match &cluster.endpoint {
            Endpoint::Server(answer) | Endpoint::Grpc(answer) => server.expect(answer),
            Endpoint::GrpcStream(turns) => server.converse(turns),
            Endpoint::Absent | Endpoint::Refusing | Endpoint::Live => continue,
        }
        servers.insert(cluster.name.clone(), server);
    }
    Ok(servers)
}
