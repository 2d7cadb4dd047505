//! What the embedded host knows: the contexts of the VM, the stream that is being played, and all
//! that has happened.

use super::backs::Backs;
use super::callouts::Callouts;
use super::clock::Clock;
use super::journal::Journal;
use super::metric::Metrics;
use super::process::Process;
use super::random::Random;
use super::root::{Root, Roots};
use super::rpcs::Rpcs;
use super::shared::{Data, Queues, Registrant};
use super::stream::Stream;
use crate::backend::Settings;
use crate::engine::Trap;
use crate::engine::abi::Version;
use crate::host_profile::Quirk;
use crate::record::{Event, LogLine};
use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;

/// Envoy's default for `per_connection_buffer_limit_bytes`.
const BUFFER_LIMIT: u32 = 1024 * 1024;

/// Which host functions may be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    All,
    /// While the module's start section runs, Envoy has no context yet: a host call ends its
    /// process.
    Nothing,
    /// While the module is initialised, by `_initialize` and `main` or by `_start`: the log, and
    /// most of WASI. Anything else fails the VM.
    Initialisation(&'static str),
    /// While the module's allocator runs: the log and the clock. Anything else fails the VM.
    Allocation,
}

/// Everything the host functions read and write.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// The number of the VM.
    pub(crate) vm: usize,
    /// The version of the ABI that the module speaks.
    pub(crate) version: Version,
    pub(crate) roots: Roots,
    /// The context whose callback runs.
    pub(crate) current: u32,
    /// The context that the callback chose to act on; 0 for its own.
    pub(crate) effective: u32,
    pub(crate) permission: Permission,
    /// The context on which the next callback acts, where the host chooses it; 0 for its own.
    pub(crate) given: u32,
    /// `proxy_on_vm_start` or `proxy_on_configure` runs.
    pub(crate) starting: bool,
    /// `proxy_on_configure` runs.
    pub(crate) configuring: bool,
    /// The host call that runs traps the VM.
    pub(crate) trap: Option<Trap>,
    /// Names of filter state that are declared, and whether they are read-only.
    pub(crate) declared: BTreeMap<Vec<u8>, bool>,
    pub(crate) stream: Option<Box<Stream>>,
    /// Streams that wait while others are played.
    #[allow(clippy::vec_box, reason = "streams are parked and taken out in each step: only pointers move")]
    pub(crate) parked: Vec<Box<Stream>>,
    pub(crate) clock: Clock,
    pub(super) random: Random,
    pub(crate) callouts: Callouts,
    pub(crate) rpcs: Rpcs,
    pub(crate) backs: Backs,
    #[cfg(feature = "expressions")]
    pub(super) expressions: super::compiled::Expressions,
    pub(crate) metrics: Metrics,
    pub(crate) shared_data: Data,
    pub(crate) queues: Queues,
    pub(crate) events: Journal,
    /// The pending callouts and pauses of streams at the disconnects of their clients.
    pub(super) left: Vec<String>,
    pub(crate) violations: Vec<Violation>,
    /// The host call that a test lets fail.
    pub(crate) fault: Option<Fault>,
}

/// A host call that fails because a test wants it to.
#[derive(Debug)]
pub(crate) struct Fault {
    /// How many host calls come before it.
    pub(crate) call: usize,
    pub(crate) status: u32,
    /// The function, if it was called.
    pub(crate) failed: Option<&'static str>,
}

impl State {
    pub(crate) fn new(process: &Process, vm: usize) -> Self {
        Self {
            settings: Settings::default(),
            vm,
            version: Version::default(),
            roots: Roots::default(),
            current: 0,
            effective: 0,
            permission: Permission::All,
            given: 0,
            starting: false,
            configuring: false,
            trap: None,
            declared: BTreeMap::new(),
            stream: None,
            parked: Vec::new(),
            clock: Clock::new(),
            random: Random::new(0, vm),
            callouts: Callouts::default(),
            rpcs: Rpcs::default(),
            backs: Backs::default(),
            #[cfg(feature = "expressions")]
            expressions: super::compiled::Expressions::default(),
            metrics: Metrics::new(process.metrics.clone()),
            shared_data: process.data.clone(),
            queues: process.queues.clone(),
            events: Journal::default(),
            left: Vec::new(),
            violations: Vec::new(),
            fault: None,
        }
    }

    /// Whether the host that is played differs from Envoy in this.
    pub(crate) fn plays(&self, quirk: Quirk) -> bool {
        self.settings.profile.plays(quirk)
    }

    /// Makes a parked stream the one that is played. Returns whether there is such a stream.
    pub(crate) fn unpark(&mut self, is_wanted: impl Fn(&Stream) -> bool) -> bool {
        let Some(position) = self.parked.iter().position(|stream| is_wanted(stream)) else { return false };
        self.stream = Some(self.parked.remove(position));
        true
    }

    /// The stream that is played waits while others are played.
    pub(crate) fn park(&mut self) {
        let stream = self.stream.take();
        self.parked.extend(stream);
    }

    /// The context that the running callback belongs to, or has chosen to act on.
    pub(crate) const fn context(&self) -> u32 {
        if self.effective == 0 { self.current } else { self.effective }
    }

    /// The stream of that context.
    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        let stream = self.stream.iter_mut().chain(&mut self.parked).find(|stream| stream.has(context))?;
        stream.viewer = context;
        Some(stream)
    }

    /// How the host is configured, and the stream of that context.
    pub(crate) fn settings_and_stream(&mut self) -> (&Settings, Option<&Stream>) {
        let context = self.context();
        let stream = self.stream.iter_mut().chain(&mut self.parked).find(|stream| stream.has(context));
        let stream = stream.map(|stream| {
            stream.viewer = context;
            &**stream
        });
        (&self.settings, stream)
    }

    /// The root context of that context: itself, or that of the stream's filter.
    pub(crate) fn root(&self) -> Option<&Root> {
        let context = self.context();
        let streams = self.stream.iter().chain(&self.parked);
        let filter = streams.flat_map(|stream| &stream.filters).find(|filter| filter.id == context);
        self.roots.get(filter.map_or(context, |filter| filter.root))
    }

    /// Whether the module knows a context.
    pub(crate) fn knows(&self, context: u32) -> bool {
        let streams = self.stream.iter().chain(&self.parked);
        let mut filters = streams.flat_map(|stream| &stream.filters);
        self.roots.contains(context) || filters.any(|filter| filter.created && filter.id == context)
    }

    /// The most bytes that the host buffers for a connection or a filter.
    pub(super) fn buffer_limit(&self) -> usize {
        self.settings.buffer_limit.unwrap_or(BUFFER_LIMIT) as usize
    }

    /// Who registers a queue now.
    pub(crate) fn registrant(&self) -> Registrant {
        Registrant { vm: self.vm, root: self.root().map_or(0, |root| root.id) }
    }

    /// Notes that the module broke a rule.
    pub(crate) fn violate(&mut self, rule: Rule, message: impl Into<String>) {
        self.violations.push(Violation::new(rule, message));
    }

    pub(crate) fn log(&mut self, line: LogLine) {
        self.events.push(Event::Log(line));
    }
}
