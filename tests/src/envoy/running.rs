//! An Envoy that runs: the exchanges and connections through it, those that a test pauses at the
//! upstream, and new configurations.

use super::process::{DRAIN, Process};
use super::upstream::Upstream;
use super::wire::Pace;
use super::{bootstrap, http1, http2, tcp};
use crate::backend::{Answer, ConfigureError, Settings};
use crate::cluster::{Cluster, Endpoint};
use crate::message::{Protocol, Received, Request};
use crate::record::{Event, Record, VmRole};
use crate::tcp::{ConnectionRecord, Step};
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
pub(super) struct Held {
    client: JoinHandle<io::Result<Option<Received>>>,
    /// Dropping it makes the upstream respond.
    gate: Option<Sender<()>>,
    /// Whether the upstream has the request.
    reached: bool,
    received: Option<Received>,
    before: Vec<Event>,
    /// Stream contexts that exist while it waits, those of exchanges around it included.
    streams: usize,
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
    /// Exchanges that were begun and are not finished, the innermost last.
    pub(super) open: Vec<Held>,
    /// There are root contexts that wait for their last stream.
    pub(super) retiring: bool,
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
        if settings.tcp { tcp::Server::start().map(Self::Tcp) } else { Upstream::start(Pace::Parts).map(Self::Http) }
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Http(upstream) => Ok(upstream.address()),
            Self::Tcp(server) => server.address(),
        }
    }
}

impl Running {
    pub(super) fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
        self.calls();
        self.expect(answer);
        if let Behind::Http(upstream) = &self.behind {
            upstream.answer_at(request.answered);
        }
        let response = self.request(request);
        self.wait_for_the_end();
        let upstream = self.received();
        self.record(response, upstream)
    }

    /// An exchange that has ended.
    fn record(&mut self, response: io::Result<Option<Received>>, upstream: Option<Received>) -> Record {
        let calls = self.calls();
        let (events, elsewhere) = self.events();
        let failure = match &response {
            _ if self.process.has_ended() => Some(self.process.obituary("Envoy ended during the exchange")),
            Err(error) => Some(self.process.obituary(&format!("the client could not talk to Envoy: {error}"))),
            Ok(_) => None,
        };
        Record {
            response: response.unwrap_or_default(),
            upstream,
            calls,
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

    /// Sets the response of the upstream to the next request.
    fn expect(&self, answer: &Answer) {
        if let Behind::Http(upstream) = &self.behind {
            upstream.expect(answer);
        }
    }

    /// What the upstream has received of the last request.
    fn received(&self) -> Option<Received> {
        match &self.behind {
            Behind::Http(upstream) => upstream.take().pop(),
            Behind::Tcp(_) => None,
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
        let events = self.process.journal().take();
        let failure = match &played {
            _ if self.process.has_ended() => Some(self.process.obituary("Envoy ended during the connection")),
            Err(error) => Some(self.process.obituary(&format!("the connection could not be played: {error}"))),
            Ok(_) => None,
        };
        ConnectionRecord { steps: played.unwrap_or_default(), events, failure }
    }

    /// What happened without an exchange.
    pub(super) fn aside(&mut self) -> Record {
        let failure =
            self.process.has_ended().then(|| self.process.obituary("Envoy ended while no request was in flight"));
        let (events, elsewhere) = self.events();
        Record { calls: self.calls(), events, elsewhere, failure, ..Record::default() }
    }

    /// The messages that the servers received since the previous call.
    pub(super) fn calls(&self) -> BTreeMap<String, Vec<Received>> {
        let calls = self.servers.iter().map(|(name, server)| (name.clone(), server.take()));
        calls.filter(|(_, received)| !received.is_empty()).collect()
    }

    pub(super) fn request(&self, request: &Request) -> io::Result<Option<Received>> {
        send(self.process.listener(), request)
    }

    /// Waits until Envoy has finished the stream: both connections closed, the upstream's threads
    /// idle, the last callback logged.
    fn wait_for_the_end(&self) {
        let limit = Instant::now() + END_OF_STREAM;
        while Instant::now() < limit && !self.is_idle().unwrap_or(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.told {
            // The log may be behind what the client has seen. A VM that has failed says nothing any
            // more.
            self.process.journal().wait_for_events(FIRST_EVENT);
            self.process
                .journal()
                .wait_for_deletes(self.held_streams(), limit.saturating_duration_since(Instant::now()));
            // Envoy may call once more for a stream that it has deleted.
            std::thread::sleep(SETTLE / 5);
        } else {
            self.process.journal().settle(SETTLE);
        }
        if self.settings.workers > 0 || self.settings.service.is_some() {
            // What one VM does for another comes later.
            self.process.journal().settle(SETTLE);
        }
    }

    fn is_idle(&self) -> io::Result<bool> {
        let totals: BTreeMap<_, _> =
            self.servers.iter().map(|(name, server)| (bootstrap::connections_to(name), server)).collect();
        let mut names = vec![
            bootstrap::ACTIVE_REQUESTS,
            bootstrap::ACTIVE_CONNECTIONS,
            bootstrap::UPSTREAM_ACTIVE,
            bootstrap::UPSTREAM_TOTAL,
        ];
        names.extend(totals.keys().map(String::as_str));
        let stats = self.process.admin().stats(&names)?;
        let of = |name: &str| stats.get(name).copied().unwrap_or(0);
        let held = self.held();
        let served = match &self.behind {
            Behind::Http(upstream) => {
                of(bootstrap::ACTIVE_REQUESTS) == held && upstream.is_idle_after(of(bootstrap::UPSTREAM_TOTAL), held)
            }
            Behind::Tcp(_) => of(bootstrap::ACTIVE_CONNECTIONS) == 0,
        };
        Ok(served
            && of(bootstrap::UPSTREAM_ACTIVE) == held
            && totals.iter().all(|(total, server)| server.is_idle_after(of(total), 0)))
    }

    /// The number of requests that are paused at the upstream.
    pub(super) fn held(&self) -> usize {
        self.open.iter().filter(|held| held.reached).count()
    }

    /// The number of stream contexts that exist because exchanges are paused.
    pub(super) fn held_streams(&self) -> usize {
        self.open.last().map_or(0, |held| held.streams)
    }

    pub(super) fn begin(&mut self, request: &Request, answer: &Answer) -> bool {
        let (reached_sender, reached_receiver) = channel();
        let (gate, gate_receiver) = channel();
        self.calls();
        self.expect(&held_back(answer, reached_sender, gate_receiver));
        let (listener, sent) = (self.process.listener(), request.clone());
        let client = std::thread::spawn(move || send(listener, &sent));
        let mut reached = false;
        while !reached && !client.is_finished() {
            reached = reached_receiver.recv_timeout(Duration::from_millis(5)).is_ok();
        }
        if reached {
            self.process.journal().wait_for_events(FIRST_EVENT);
            self.process.journal().settle(SETTLE);
        }
        let received = if reached { self.received() } else { None };
        let before = if reached { self.process.journal().take() } else { Vec::new() };
        let streams = if reached { self.process.journal().streams() } else { self.held_streams() };
        self.open.push(Held { client, gate: Some(gate), reached, received, before, streams });
        reached
    }

    pub(super) fn finish(&mut self) -> Option<Record> {
        let mut held = self.open.pop()?;
        held.gate = None;
        let response = held.client.join().unwrap_or_else(|_| Err(io::Error::other("the client's thread panicked")));
        self.wait_for_the_end();
        self.wait_for_retired();
        let upstream = held.received.or(self.received());
        let mut record = self.record(response, upstream);
        record.events.splice(..0, held.before);
        Some(record)
    }

    /// Moves a new listener in place of the old one.
    pub(super) fn reconfigure(&mut self, settings: &Settings) -> io::Result<Result<Record, ConfigureError>> {
        let listeners = bootstrap::listeners(settings, &self.module);
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

    /// Waits for the end of old root contexts, unless a stream needs them.
    fn wait_for_retired(&mut self) {
        if !self.retiring || !self.open.is_empty() {
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

/// Sends a request as a client, and waits for the response.
pub(super) fn send(listener: SocketAddr, request: &Request) -> io::Result<Option<Received>> {
    match request.protocol {
        Protocol::Http1 => http1::exchange(listener, request),
        Protocol::Http2 => http2::exchange(listener, request),
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
