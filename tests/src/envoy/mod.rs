//! The module in a real Envoy: an Envoy process between a client and an upstream that are written
//! here.
//!
//! Client and upstream write and read the exact bytes of HTTP/1.1 and HTTP/2, because a scenario
//! may consist in a header that no HTTP library would send. Everything else in a record is read
//! from Envoy's own log. At [`LogLevel::Trace`] it has each callback, each result and each host
//! call; at other levels a record has the guest's log lines only.
//!
//! [`LogLevel::Trace`]: proxy_filter::log::LogLevel::Trace

mod access_log;
mod admin;
pub(crate) mod binary;
mod bootstrap;
mod channel;
mod hpack;
pub(crate) mod http1;
mod http2;
mod journal;
mod line;
mod process;
mod reader;
mod running;
#[cfg(test)]
mod stats;
mod tcp;
mod upstream;
mod visit;
mod wire;

use crate::backend::{Answer, Backend, ConfigureError, Settings};
use crate::host_profile::HostProfile;
use crate::message::Request;
use crate::record::{Event, Record, VmRole};
use crate::tcp::{ConnectionRecord, Step};
use process::Process;
pub(crate) use process::{pressure, take_waited};
use reader::Shared;
use running::{Behind, FIRST_EVENT, Running, SETTLE, Started, servers};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NOT_RUNNING: &str = "Envoy is not running: `start` comes first";

/// The backend that runs a module in Envoy.
pub(crate) struct Envoy {
    binary: PathBuf,
    version: String,
    module: PathBuf,
    running: Option<Running>,
    started_elsewhere: Vec<(VmRole, Vec<Event>)>,
}

impl Envoy {
    /// A backend for the compiled module, with the Envoy that the environment variable `ENVOY`
    /// names.
    pub(crate) fn new(module: &Path) -> io::Result<Self> {
        let binary = binary::find()?;
        let version = binary::version(&binary)?;
        let module = std::path::absolute(module)?;
        Ok(Self { binary, version, module, running: None, started_elsewhere: Vec::new() })
    }

    /// The profile of this Envoy: that of the newest version if this one has none.
    pub(crate) fn profile(&self) -> HostProfile {
        HostProfile::of_envoy(&self.version).unwrap_or_default()
    }

    /// The version of this Envoy, and the profile with which it is compared.
    pub(crate) fn describe(&self) -> String {
        described(&self.version)
    }

    fn run(&self, settings: &Settings) -> io::Result<Result<(Running, Started), ConfigureError>> {
        let unreadable = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.module.display()));
        let module = std::fs::read(&self.module).map_err(unreadable)?;
        let told = bootstrap::is_trace(settings) && exports_life_of_streams(&module);
        let behind = Behind::start(settings)?;
        let servers = servers(&settings.clusters)?;
        let addresses = servers.iter().map(|(name, server)| (name.clone(), server.address())).collect();
        let bootstrap = bootstrap::json(settings, &self.module, &behind.addresses()?, &addresses);
        let listeners = bootstrap::listeners(settings, &self.module);
        match Process::start(&self.binary, &bootstrap, &listeners, settings)? {
            Ok(process) => {
                if bootstrap::is_trace(settings) {
                    process.journal().wait_for_events(FIRST_EVENT);
                }
                process.journal().settle(SETTLE);
                let (settings, module) = (settings.clone(), self.module.clone());
                let (flights, retiring, connections, reader) = (Vec::new(), false, 0, None);
                let running = Running {
                    process,
                    behind,
                    servers,
                    module,
                    settings,
                    told,
                    connections,
                    flights,
                    retiring,
                    reader,
                };
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
        if settings.profile != self.profile() {
            let reason = format!(
                "this is Envoy {}, and the test is for {}: `#[proxy_filter_host::test(embedded)]` runs it without Envoy",
                self.version, settings.profile
            );
            return Err(ConfigureError { events: Vec::new(), reason });
        }
        if !settings.foreign.is_empty() {
            let reason = "Envoy has no foreign functions of a test's own: `#[proxy_filter_host::test(embedded)]` runs it without Envoy";
            return Err(ConfigureError { events: Vec::new(), reason: reason.into() });
        }
        if let Some(path) = settings.properties.keys().next() {
            let path = String::from_utf8_lossy(path).replace('\0', ".");
            let reason = format!(
                "Envoy computes the property {path} itself: `#[proxy_filter_host::test(embedded)]` runs the test without Envoy"
            );
            return Err(ConfigureError { events: Vec::new(), reason });
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

    fn begin(&mut self, id: u64, request: &Request, answer: &Answer) -> bool {
        self.running.as_mut().is_some_and(|running| running.begin(id, request, answer))
    }

    fn start_exchange(&mut self, id: u64, request: &Request, answer: &Answer) {
        if let Some(running) = &mut self.running {
            running.start(id, request, answer);
        }
    }

    fn has_ended(&mut self, id: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.has_ended(id))
    }

    fn finish(&mut self, id: u64) -> Record {
        match self.running.as_mut().and_then(|running| running.finish(id)) {
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

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn metric(&mut self, name: &str) -> Option<u64> {
        self.running.as_ref()?.process.admin().metric(name).ok().flatten()
    }

    fn shared_data(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(Shared::Data, key)
    }

    fn queue(&mut self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.read(Shared::Queue, name).map(|items| reader::items(&items))
    }

    fn listener(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|running| running.process.listener())
    }

    fn tells_all_errors(&self) -> bool {
        false
    }

    fn stop(&mut self) -> Vec<Event> {
        self.running.take().map(|running| running.process.stop()).unwrap_or_default()
    }
}

impl Envoy {
    /// Reads what the VMs share.
    #[allow(clippy::panic, reason = "this is how a test with an Envoy that does not respond fails")]
    fn read(&mut self, shared: Shared, name: &[u8]) -> Option<Vec<u8>> {
        let read = self.running.as_mut()?.read(shared, name);
        read.unwrap_or_else(|error| panic!("shared data and queues cannot be read: {error}"))
    }
}

/// A version of Envoy, and the profile with which it is compared.
fn described(version: &str) -> String {
    match HostProfile::of_envoy(version) {
        Some(profile) => format!("Envoy {version}, compared with the profile {profile}"),
        None => {
            format!("Envoy {version}, a version without a profile: compared with that of {}", HostProfile::default())
        }
    }
}

/// Whether the log has the beginning and the end of each stream: whether the module's bytes contain
/// the names of these exports, which is how they would be stored.
fn exports_life_of_streams(module: &[u8]) -> bool {
    let contains = |name: &[u8]| module.windows(name.len()).any(|window| window == name);
    contains(b"proxy_on_context_create") && contains(b"proxy_on_delete")
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn a_version_without_a_profile_is_compared_with_the_newest_and_named() {
        assert_eq!(described("1.38.2"), "Envoy 1.38.2, compared with the profile Envoy 1.38");
        for unknown in ["1.35.0", "1.41.0-dev", "2.0.0"] {
            let text = format!("Envoy {unknown}, a version without a profile: compared with that of Envoy 1.40");
            assert_eq!(described(unknown), text);
        }
    }
}
