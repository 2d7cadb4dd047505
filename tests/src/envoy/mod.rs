//! The module in a real Envoy: an Envoy process between a client and an upstream that are written here.
//!
//! Client and upstream write and read the exact bytes of HTTP/1.1 and HTTP/2, because a scenario may consist in a header that
//! no HTTP library would send. Everything else a record holds is read from Envoy's own log: at [`LogLevel::Trace`] Envoy
//! tells each callback, each result and each host call; at other levels a record has the guest's log lines only.
//!
//! [`LogLevel::Trace`]: proxy_filter::LogLevel::Trace

mod admin;
pub(crate) mod binary;
mod bootstrap;
mod channel;
mod held;
mod hpack;
pub(crate) mod http1;
mod http2;
mod journal;
mod line;
mod process;
#[cfg(test)]
mod stats;
mod tcp;
mod upstream;
mod wire;

use crate::backend::{Answer, Backend, ConfigureError, Settings};
use crate::cluster::{Cluster, Endpoint};
use crate::connection::{ConnectionRecord, Step};
use crate::message::{Protocol, Received, Request};
use crate::record::{Event, Record, VmRole};
use held::Held;
use process::Process;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use upstream::Upstream;
use wire::Pace;

/// How long a stream may take to end after the client has its response.
const END_OF_STREAM: Duration = Duration::from_secs(3);
/// How long the first line of a stream may take from Envoy's worker to this process.
const FIRST_EVENT: Duration = Duration::from_secs(1);
/// A pause this long between lines means that there are no more.
const SETTLE: Duration = Duration::from_millis(30);

const NOT_RUNNING: &str = "Envoy is not running: `start` comes first";

/// The backend that runs a module in Envoy.
pub(crate) struct Envoy {
    binary: PathBuf,
    module: PathBuf,
    running: Option<Running>,
    started_elsewhere: Vec<(VmRole, Vec<Event>)>,
}

/// What the VM that serves has done, and what the others have.
type Started = (Vec<Event>, Vec<(VmRole, Vec<Event>)>);

/// An Envoy that accepted its configuration, and the upstream it knows.
struct Running {
    process: Process,
    behind: Behind,
    /// The servers that the module calls, by the name of their cluster.
    servers: BTreeMap<String, Upstream>,
    module: PathBuf,
    settings: Settings,
    /// Whether Envoy's log tells the end of a stream: at trace level, for a module that exports `proxy_on_delete`.
    told: bool,
    /// Exchanges that were begun and are not finished, the innermost last.
    open: Vec<Held>,
    /// There are root contexts that wait for their last stream.
    retiring: bool,
}

/// What is behind Envoy.
enum Behind {
    /// A server of requests.
    Http(Upstream),
    /// A server of connections, for a plugin that filters those.
    Tcp(tcp::Server),
}

impl Behind {
    fn start(settings: &Settings) -> io::Result<Self> {
        if settings.tcp { tcp::Server::start().map(Self::Tcp) } else { Upstream::start(Pace::Parts).map(Self::Http) }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Http(upstream) => Ok(upstream.address()),
            Self::Tcp(server) => server.address(),
        }
    }
}

impl Envoy {
    /// A backend for the compiled module, with the Envoy that the environment variable `ENVOY` names.
    pub(crate) fn new(module: &Path) -> io::Result<Self> {
        let binary = binary::find()?;
        Ok(Self { binary, module: std::path::absolute(module)?, running: None, started_elsewhere: Vec::new() })
    }

    fn run(&self, settings: &Settings) -> io::Result<Result<(Running, Started), ConfigureError>> {
        let unreadable = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.module.display()));
        let module = std::fs::read(&self.module).map_err(unreadable)?;
        let told = bootstrap::is_trace(settings) && exports_on_delete(&module);
        let behind = Behind::start(settings)?;
        let servers = servers(&settings.clusters)?;
        let addresses = servers.iter().map(|(name, server)| (name.clone(), server.address())).collect();
        let bootstrap = bootstrap::json(settings, &self.module, behind.address()?, &addresses);
        let listeners = bootstrap::listeners(settings, &self.module);
        match Process::start(&self.binary, &bootstrap, &listeners, settings)? {
            Ok(process) => {
                if bootstrap::is_trace(settings) {
                    process.journal().wait_for_events(FIRST_EVENT);
                }
                process.journal().settle(SETTLE);
                let (settings, module) = (settings.clone(), self.module.clone());
                let (open, retiring) = (Vec::new(), false);
                let running = Running { process, behind, servers, module, settings, told, open, retiring };
                let events = running.start_events();
                Ok(Ok((running, events)))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }
}

impl Backend for Envoy {
    fn start(&mut self, settings: &Settings) -> Result<Vec<Event>, ConfigureError> {
        self.running = None;
        if !settings.foreign.is_empty() {
            let reason = "Envoy has no foreign functions of a test's own: `#[proxy_filter_host::test(embedded)]` runs it without Envoy";
            return Err(ConfigureError { events: Vec::new(), reason: reason.into() });
        }
        match self.run(settings) {
            Ok(Ok((running, (events, elsewhere)))) => {
                self.running = Some(running);
                self.started_elsewhere = elsewhere;
                Ok(events)
            }
            Ok(Err(refused)) => Err(refused),
            Err(error) => Err(ConfigureError { events: Vec::new(), reason: format!("Envoy cannot be run: {error}") }),
        }
    }

    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
        match &mut self.running {
            Some(running) => running.exchange(request, answer),
            None => Record { failure: Some(NOT_RUNNING.to_owned()), ..Record::default() },
        }
    }

    fn connection(&mut self, script: &[Step]) -> ConnectionRecord {
        match &mut self.running {
            Some(running) => running.connection(script),
            None => ConnectionRecord { failure: Some(NOT_RUNNING.to_owned()), ..ConnectionRecord::default() },
        }
    }

    fn begin(&mut self, request: &Request, answer: &Answer) -> bool {
        self.running.as_mut().is_some_and(|running| running.begin(request, answer))
    }

    fn finish(&mut self) -> Record {
        match self.running.as_mut().and_then(Running::finish) {
            Some(record) => record,
            None => {
                Record { failure: Some("Envoy is not running: no exchange was begun".to_owned()), ..Record::default() }
            }
        }
    }

    /// Envoy chooses.
    fn choose_worker(&mut self, _worker: usize) {}

    fn reconfigure(&mut self, settings: &Settings) -> Result<Record, ConfigureError> {
        let refused = |reason| ConfigureError { events: Vec::new(), reason };
        let running = self.running.as_mut().ok_or_else(|| refused("Envoy is not running".to_owned()))?;
        running.reconfigure(settings).map_err(|error| refused(error.to_string()))?
    }

    fn started_elsewhere(&mut self) -> Vec<(VmRole, Vec<Event>)> {
        std::mem::take(&mut self.started_elsewhere)
    }

    fn advance(&mut self, by: Duration) -> Record {
        std::thread::sleep(by + SETTLE);
        match &mut self.running {
            Some(running) => running.aside(),
            None => Record::default(),
        }
    }

    #[allow(clippy::panic, reason = "this is how a test with a mistake fails")]
    fn clock(&mut self, _: Duration) {
        panic!("the clock of a real Envoy is the machine's: mark the test as #[proxy_filter_host::test(embedded)]")
    }

    fn metric(&mut self, name: &str) -> Option<u64> {
        self.running.as_ref()?.process.admin().metric(name).ok().flatten()
    }

    fn listener(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|running| running.process.listener())
    }

    fn stop(&mut self) -> Vec<Event> {
        self.running.take().map(|running| running.process.stop()).unwrap_or_default()
    }
}

impl Running {
    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record {
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

    /// What the VMs have done since this was last asked: the one that serves, and the others if the test wants to know.
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

    /// What the VMs did while the plugin started. The first worker is the one that the log tells of first.
    fn start_events(&self) -> Started {
        let (events, mut elsewhere) = self.events();
        if self.settings.workers == 0 {
            return (events, elsewhere);
        }
        elsewhere.push((VmRole::Canary, self.process.journal().canary()));
        let first = elsewhere.iter().position(|(of, _)| *of == VmRole::Worker(0));
        (first.map(|index| elsewhere.remove(index).1).unwrap_or_default(), elsewhere)
    }

    /// How the upstream answers the next request.
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

    fn connection(&mut self, script: &[Step]) -> ConnectionRecord {
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
    fn aside(&mut self) -> Record {
        let failure =
            self.process.has_ended().then(|| self.process.obituary("Envoy ended while nobody asked it anything"));
        let (events, elsewhere) = self.events();
        Record { calls: self.calls(), events, elsewhere, failure, ..Record::default() }
    }

    /// What the servers received since this was last asked.
    fn calls(&self) -> BTreeMap<String, Vec<Received>> {
        let calls = self.servers.iter().map(|(name, server)| (name.clone(), server.take()));
        calls.filter(|(_, received)| !received.is_empty()).collect()
    }

    fn request(&self, request: &Request) -> io::Result<Option<Received>> {
        send(self.process.listener(), request)
    }

    /// Waits until Envoy is done with the stream: both connections gone, the upstream's threads idle, the last callback logged.
    fn wait_for_the_end(&self) {
        let limit = Instant::now() + END_OF_STREAM;
        while Instant::now() < limit && !self.is_idle().unwrap_or(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.told {
            // The log may be behind what the client has seen. A VM that has failed says nothing any more.
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
}

/// Sends a request as a client, and waits for the response.
fn send(listener: SocketAddr, request: &Request) -> io::Result<Option<Received>> {
    match request.protocol {
        Protocol::Http1 => http1::exchange(listener, request),
        Protocol::Http2 => http2::exchange(listener, request),
    }
}

/// A server for each cluster that has one.
fn servers(clusters: &[Cluster]) -> io::Result<BTreeMap<String, Upstream>> {
    let mut servers = BTreeMap::new();
    for cluster in clusters {
        let server = Upstream::start(Pace::AtOnce)?;
        match &cluster.endpoint {
            Endpoint::Server(answer) | Endpoint::Grpc(answer) => server.expect(answer),
            Endpoint::GrpcStream(turns) => server.converse(turns),
            Endpoint::Absent | Endpoint::Refusing => continue,
        }
        servers.insert(cluster.name.clone(), server);
    }
    Ok(servers)
}

/// Whether the module's bytes contain the export's name, which is how it would be stored.
fn exports_on_delete(module: &[u8]) -> bool {
    let name = b"proxy_on_delete";
    module.windows(name.len()).any(|window| window == name)
}
