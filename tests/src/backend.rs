//! What runs a plugin: the embedded host, natively or on a wasm engine, or a real Envoy.

use crate::cluster::Cluster;
use crate::fixture::Metadata;
use crate::foreign::Functions;
use crate::host_profile::HostProfile;
pub(crate) use crate::message::Answer;
use crate::message::Request;
use crate::record::{Event, Record, VmRole};
use crate::route::Routes;
use crate::tcp::{ConnectionRecord, Step};
use crate::tls::Tls;
use crate::usage::Usage;
use crate::violation::Violation;
use proxy_filter::log::LogLevel;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) configuration: Vec<u8>,
}

/// How the plugin is set up.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own in Envoy's configuration")]
pub(crate) struct Settings {
    pub(crate) plugin_name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) vm_configuration: Vec<u8>,
    /// Environment variables of the VM.
    pub(crate) environment: Vec<(String, String)>,
    /// Filters of the chain after the first plugin, in the same VM.
    pub(crate) more_plugins: Vec<Plugin>,
    /// A plugin that runs once, on the main thread, and filters nothing.
    pub(crate) service: Option<Plugin>,
    /// The plugin logs the requests of the listener, and filters none.
    pub(crate) access_logger: bool,
    /// Worker threads; 0 for one worker, whose VM is the only one that a test sees.
    pub(crate) workers: usize,
    pub(crate) log_level: LogLevel,
    /// The plugin filters TCP connections, not requests.
    pub(crate) tcp: bool,
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// The client connects over IPv6.
    pub(crate) ipv6: bool,
    /// METADATA frames of HTTP/2 pass.
    pub(crate) allow_metadata: bool,
    /// The protocols that requests may upgrade their connection to.
    pub(crate) upgrades: Vec<String>,
    /// `per_connection_buffer_limit_bytes`.
    pub(crate) buffer_limit: Option<u32>,
    /// `stats_config.stats_tags`: names of labels, and the regular expressions that find them in
    /// names of metrics.
    #[cfg_attr(not(feature = "envoy"), allow(dead_code, reason = "the embedded host writes no statistics"))]
    pub(crate) stats_tags: Vec<(String, String)>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) routes: Arc<Routes>,
    /// TLS of the clients' connections.
    pub(crate) tls: Option<Tls>,
    /// The format of the access log, with Envoy's command operators.
    pub(crate) access_log: Option<String>,
    /// Properties of each stream that a test sets, by their path with NUL between its parts.
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Strings in the filter state of each stream, as if a filter before the plugin's had put them
    /// there.
    pub(crate) filter_state: BTreeMap<String, String>,
    /// The clusters that the plugin may call.
    pub(crate) clusters: Vec<Cluster>,
    /// What the random bytes of the embedded host begin with.
    pub(crate) random_seed: u64,
    /// Foreign functions besides Envoy's.
    pub(crate) foreign: Functions,
    /// The host that is played.
    pub(crate) profile: HostProfile,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plugin_name: "plugin".into(),
            root_id: String::new(),
            vm_id: "vm".into(),
            configuration: Vec::new(),
            vm_configuration: Vec::new(),
            environment: Vec::new(),
            more_plugins: Vec::new(),
            service: None,
            access_logger: false,
            workers: 0,
            log_level: LogLevel::Trace,
            tcp: false,
            allow_on_headers_stop_iteration: false,
            ipv6: false,
            allow_metadata: false,
            upgrades: Vec::new(),
            buffer_limit: None,
            stats_tags: Vec::new(),
            metadata: Arc::default(),
            routes: Arc::default(),
            tls: None,
            access_log: None,
            properties: BTreeMap::new(),
            filter_state: BTreeMap::new(),
            clusters: Vec::new(),
            random_seed: 0,
            foreign: Functions::default(),
            profile: HostProfile::default(),
        }
    }
}

impl Settings {
    /// Whether `CONNECT` is allowed, and has a route.
    pub(crate) fn allows_connect(&self) -> bool {
        self.upgrades.iter().any(|protocol| protocol.eq_ignore_ascii_case("CONNECT"))
    }

    /// The plugins in the order of the chain.
    pub(crate) fn plugins(&self) -> Vec<Plugin> {
        let (name, root_id) = (self.plugin_name.clone(), self.root_id.clone());
        let first = Plugin { name, root_id, configuration: self.configuration.clone() };
        std::iter::once(first).chain(self.more_plugins.iter().cloned()).collect()
    }
}

/// The host refused the plugin or its configuration.
#[derive(Clone, Debug)]
pub struct ConfigureError {
    pub(crate) events: Vec<Event>,
    pub(crate) reason: String,
}

impl std::fmt::Display for ConfigureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the host refused the plugin: {}", self.reason)?;
        for event in &self.events {
            if let Event::Log(line) = event {
                write!(f, "\n  {}: {}", line.level.name(), line.message)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigureError {}

/// A host.
pub(crate) trait Backend {
    /// Starts the plugin. What happened, or why it was refused.
    fn start(&mut self, settings: &Settings) -> Result<Vec<Event>, ConfigureError>;

    /// Plays one exchange.
    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record;

    /// Plays an exchange until the upstream has received the request and before it responds.
    /// Returns whether the upstream received it.
    fn begin(&mut self, id: u64, request: &Request, answer: &Answer) -> bool;

    /// Starts an exchange: plays what takes no time.
    fn start_exchange(&mut self, id: u64, request: &Request, answer: &Answer);

    /// Whether the client of an exchange that was begun or started has its response.
    fn has_ended(&mut self, id: u64) -> bool;

    /// Plays the rest of an exchange that was begun or started.
    fn finish(&mut self, id: u64) -> Record;

    /// Which worker serves the next exchange, where that can be chosen.
    fn choose_worker(&mut self, worker: usize);

    /// Gives the first plugin another configuration while it runs. What happened, or why the host
    /// keeps the old one.
    fn reconfigure(&mut self, settings: &Settings) -> Result<Record, ConfigureError>;

    /// The events of the other VMs during the start of the plugin: those that
    /// [`start`](Self::start) does not return.
    fn started_elsewhere(&mut self) -> Vec<(VmRole, Vec<Event>)>;

    /// Plays one TCP connection.
    fn connection(&mut self, script: &[Step]) -> ConnectionRecord;

    /// Advances the time, and returns the events of the plugin in that time.
    fn advance(&mut self, by: Duration) -> Record;

    /// Sets the wall clock to this time since 1970. A real Envoy has no such clock.
    fn clock(&mut self, time: Duration);

    /// What the wall clock says, since 1970.
    fn now(&self) -> Duration;

    /// The value of a counter or gauge of the plugin's, `None` if there is none.
    fn metric(&mut self, name: &str) -> Option<u64>;

    /// The memory and the stored items of the plugin. Envoy does not report them.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// The value of shared data.
    fn shared_data(&mut self, key: &[u8]) -> Option<Vec<u8>>;

    /// The items of a queue that the plugin has not taken.
    fn queue(&mut self, name: &[u8]) -> Option<Vec<Vec<u8>>>;

    /// Lets the host call with this number, counted from now, fail with a status. Whether the host
    /// can do that.
    fn fail_call(&mut self, _call: usize, _status: u32) -> bool {
        false
    }

    /// The host function that [`fail_call`](Self::fail_call) let fail, if it was called.
    fn failed_call(&self) -> Option<&'static str> {
        None
    }

    /// Where clients connect, if there is such a place.
    fn listener(&self) -> Option<SocketAddr> {
        None
    }

    /// Ends the plugin.
    fn stop(&mut self) -> Vec<Event>;

    /// The pending callouts and pauses of each stream that has not ended. Envoy does not report
    /// them.
    fn waiting(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the host reports every failure of the filter. Envoy does not report traps.
    fn tells_all_errors(&self) -> bool {
        true
    }

    /// Rules of the host that the module broke, although the host did not say so. Envoy does not
    /// know any.
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }
}
