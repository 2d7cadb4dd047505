//! A filter in the path of real traffic: what a server needs that puts a module between its clients
//! and an upstream.

use crate::action::{Action, CallEnd, Direction, GrpcEvent};
use crate::backend::{ConfigureError, Settings};
use crate::cluster::{Cluster, Endpoint};
use crate::embedded::{Guest, LiveVm, Process};
use crate::engine::Engine;
use crate::message::{Fields, Protocol};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The plugin of a [`LiveFilter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LivePlugin {
    /// The plugin's `root_id`.
    pub root_id: String,
    /// The plugin's configuration.
    pub configuration: String,
    /// The names of the clusters that the plugin may call.
    pub clusters: Vec<String>,
    /// Envoy's `allow_on_headers_stop_iteration`.
    pub allow_on_headers_stop_iteration: bool,
    /// Report only log lines and traps, and neither callbacks nor host calls.
    pub quiet: bool,
}

/// The metrics, shared data and queues that all VMs of a server share.
#[derive(Clone, Debug, Default)]
pub struct LiveProcess(Process);

impl LiveProcess {
    /// The values of counters and gauges by name, as an operator sees them.
    ///
    /// ```
    /// # use proxy_filter_host::LiveProcess;
    /// assert_eq!(LiveProcess::default().metrics(), []);
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Vec<(String, u64)> {
        self.0.metrics.all()
    }

    /// The keys and values of shared data, in the order of the keys.
    #[must_use]
    pub fn shared_data(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.data.all()
    }

    /// The names of queues, and the items that no filter has dequeued, in the order of the names.
    #[must_use]
    pub fn queues(&self) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        self.0.queues.all()
    }
}

/// One VM of a module, which filters streams as their parts come.
///
/// Streams have numbers that the caller chooses. After every call, do what
/// [`actions`](Self::actions) returns. Time is the machine's: call [`tick`](Self::tick) when
/// [`due_in`](Self::due_in) has passed.
pub struct LiveFilter(LiveVm);

impl LiveFilter {
    /// Loads a module and starts the plugin.
    ///
    /// # Errors
    /// The module cannot be loaded, or it refuses the configuration.
    pub fn start(
        engine: Engine,
        module: &Arc<[u8]>,
        plugin: &LivePlugin,
        process: &LiveProcess,
        worker: usize,
    ) -> Result<Self, ConfigureError> {
        let live = |name: &String| Cluster { name: name.clone(), endpoint: Endpoint::Live };
        let settings = Settings {
            root_id: plugin.root_id.clone(),
            configuration: plugin.configuration.clone().into_bytes(),
            clusters: plugin.clusters.iter().map(live).collect(),
            allow_on_headers_stop_iteration: plugin.allow_on_headers_stop_iteration,
            ..Settings::default()
        };
        let guest = Guest::Wasm(Arc::clone(module), engine);
        LiveVm::start(&guest, &process.0, worker, &settings, plugin.quiet).map(Self)
    }

    /// Starts a stream with the request headers, `:authority`, `:path`, `:method` and `:scheme`
    /// among them, and `x-forwarded-proto`, without which there is no route.
    pub fn request_headers(&mut self, id: u64, protocol: Protocol, headers: Fields, end_of_stream: bool) {
        self.0.request_headers(id, protocol, headers, end_of_stream);
    }

    /// Passes the response headers of the upstream, `:status` among them.
    pub fn response_headers(&mut self, id: u64, headers: Fields, end_of_stream: bool) {
        self.0.response_headers(id, headers, end_of_stream);
    }

    /// Passes a chunk of the request's or the response's body.
    pub fn data(&mut self, id: u64, direction: Direction, bytes: Vec<u8>, end_of_stream: bool) {
        self.0.data(id, direction, bytes, end_of_stream);
    }

    /// Passes trailers, which end the message.
    pub fn trailers(&mut self, id: u64, direction: Direction, fields: &Fields) {
        self.0.trailers(id, direction, fields);
    }

    /// Reports that the upstream did not respond, or not to the end.
    pub fn upstream_failed(&mut self, id: u64) {
        self.0.upstream_failed(id);
    }

    /// Reports that the client disconnected.
    pub fn disconnected(&mut self, id: u64) {
        self.0.disconnected(id);
    }

    /// Reports the end of a callout.
    pub fn call_ended(&mut self, token: u32, end: CallEnd) {
        self.0.call_ended(token, end);
    }

    /// Reports a part of the response to a gRPC call or stream.
    pub fn grpc(&mut self, token: u32, event: GrpcEvent) {
        self.0.grpc(token, event);
    }

    /// Runs what is due: ticks, and timeouts of callouts.
    pub fn tick(&mut self) {
        self.0.tick();
    }

    /// How long until something is due; `None` if nothing is.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.0.due_in()
    }

    /// Takes what the server must do now.
    #[must_use]
    pub fn actions(&mut self) -> Vec<Action> {
        self.0.actions()
    }

    /// The number of streams that have not ended.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.streams()
    }

    /// Whether more of a message is buffered for the filters than Envoy buffers: pass no more until
    /// they resume it.
    #[must_use]
    pub fn is_full(&self, id: u64, direction: Direction) -> bool {
        self.0.is_full(id, direction)
    }

    /// Whether the VM has trapped: it replies 503 to every stream. Start another one.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.0.failed()
    }

    /// Ends the plugin.
    pub fn stop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for LiveFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveFilter").field("streams", &self.streams()).finish_non_exhaustive()
    }
}
