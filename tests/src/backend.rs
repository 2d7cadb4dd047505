//! What runs a plugin: the embedded host, natively or on a wasm engine, or a real Envoy.

use crate::cluster::Cluster;
use crate::connection::{ConnectionRecord, Step};
use crate::fixture::Metadata;
use crate::message::{Received, Reply, Request};
use crate::record::{Event, Record};
use proxy_filter::LogLevel;
use std::sync::Arc;
use std::time::Duration;

/// How the plugin is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) plugin_name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) log_level: LogLevel,
    /// The plugin filters TCP connections, not requests.
    pub(crate) tcp: bool,
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// `per_connection_buffer_limit_bytes`.
    pub(crate) buffer_limit: Option<u32>,
    /// `stats_config.stats_tags`: names of labels, and the regular expressions that find them in names of metrics.
    pub(crate) stats_tags: Vec<(String, String)>,
    pub(crate) metadata: Arc<Metadata>,
    /// The clusters that the plugin may call.
    pub(crate) clusters: Vec<Cluster>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plugin_name: "plugin".into(),
            root_id: String::new(),
            vm_id: "vm".into(),
            configuration: Vec::new(),
            vm_configuration: Vec::new(),
            log_level: LogLevel::Trace,
            tcp: false,
            allow_on_headers_stop_iteration: false,
            buffer_limit: None,
            stats_tags: Vec::new(),
            metadata: Arc::default(),
            clusters: Vec::new(),
        }
    }
}

/// How the upstream answers a request.
pub(crate) type Answer = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// The host refused the plugin or its configuration.
#[derive(Clone, Debug)]
pub struct Refused {
    pub(crate) events: Vec<Event>,
    pub(crate) reason: String,
}

impl std::fmt::Display for Refused {
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

impl std::error::Error for Refused {}

/// A host.
pub(crate) trait Backend {
    /// Starts the plugin. What happened, or why it was refused.
    fn start(&mut self, settings: &Settings) -> Result<Vec<Event>, Refused>;

    /// Plays one exchange.
    fn exchange(&mut self, request: &Request, answer: &Answer) -> Record;

    /// Plays one TCP connection.
    fn connection(&mut self, script: &[Step]) -> ConnectionRecord;

    /// Lets time pass: what the plugin does on its own meanwhile.
    fn advance(&mut self, by: Duration) -> Record;

    /// The value of a counter or gauge of the plugin's, `None` if there is none.
    fn metric(&mut self, name: &str) -> Option<u64>;

    /// Ends the plugin.
    fn stop(&mut self) -> Vec<Event>;

    /// Rules of the host that the module broke, although the host did not say so. Envoy does not know any.
    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
}
