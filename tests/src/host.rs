//! [`Host`]: what a test talks to.

use crate::backend::{Answer, Backend, Refused, Settings};
use crate::cluster::{Cluster, Endpoint};
use crate::connection::{Connection, ConnectionBuilder, ConnectionRecord, Step};
use crate::engine::Engine;
use crate::exchange::{Exchange, ExchangeBuilder};
use crate::fixture::MetadataOf;
use crate::grpc::Turn;
use crate::message::{Received, Reply, Request};
use crate::record::{Event, LogLine, Record};
use proxy_filter::LogLevel;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// All that happened in one life of a plugin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) start: Vec<Event>,
    pub(crate) refused: Option<Vec<Event>>,
    pub(crate) exchanges: Vec<Record>,
    pub(crate) connections: Vec<ConnectionRecord>,
}

/// A host with one plugin, ready for a test.
///
/// Settings are made first; [`configure`](Self::configure) starts the plugin, or the first exchange does with an empty configuration.
pub struct Host {
    backend: Box<dyn Backend>,
    settings: Settings,
    answer: Answer,
    started: bool,
    transcript: Transcript,
    /// Receives the transcript when the host is dropped.
    observer: Option<Box<dyn FnOnce(Transcript) + Send>>,
}

impl Host {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        let hello =
            |_: &Received| Reply::new(200).header("content-type", "text/plain").body("hello from the upstream\n");
        Self {
            backend,
            settings: Settings::default(),
            answer: Arc::new(hello),
            started: false,
            transcript: Transcript::default(),
            observer: None,
        }
    }

    /// A host that runs a module: the bytes of a `.wasm` file.
    ///
    /// Tests get theirs from [`test`](macro@crate::test); this is for tools.
    #[must_use]
    pub fn for_module(module: &[u8]) -> Self {
        Self::for_module_on(Engine::default(), module)
    }

    /// A host that runs a module on a chosen engine.
    #[must_use]
    pub fn for_module_on(engine: Engine, module: &[u8]) -> Self {
        Self::new(Box::new(crate::embedded::Embedded::new(crate::embedded::Guest::Wasm(module.into(), engine))))
    }

    /// A host that is a real Envoy, the one the environment variable `ENVOY` names, with the module in this file: for what the embedded host
    /// does not have. Tests that run in both hosts get theirs from [`test`](macro@crate::test).
    ///
    /// # Errors
    /// There is no Envoy.
    #[cfg(feature = "envoy")]
    pub fn in_envoy(module: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self::new(Box::new(crate::envoy::Envoy::new(module)?)))
    }

    /// A host without a filter: what it does to messages is the host's own doing.
    #[must_use]
    pub fn without_module() -> Self {
        let nothing = proxy_filter::__private::Module { exports: &[] };
        Self::new(Box::new(crate::embedded::Embedded::new(crate::embedded::Guest::Native(nothing))))
    }

    pub(crate) fn observe(&mut self, observer: impl FnOnce(Transcript) + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// The plugin's `root_id`.
    pub fn root_id(&mut self, root_id: &str) {
        self.settings.root_id = root_id.into();
    }

    /// The plugin filters TCP connections: in Envoy it is `envoy.filters.network.wasm`, and `tcp_proxy` comes after it.
    ///
    /// To be said before [`configure`](Self::configure); [`connect`](Self::connect) says it for a plugin that has not been configured.
    pub fn tcp(&mut self) {
        self.settings.tcp = true;
    }

    /// The VM's configuration: JSON or any text.
    pub fn vm_configuration(&mut self, configuration: impl fmt::Display) {
        self.settings.vm_configuration = configuration.to_string().into_bytes();
    }

    /// The least severe level the host logs; [`LogLevel::Trace`] unless said otherwise.
    ///
    /// A real Envoy reports callbacks and host calls at that level only: at others, only what the client, the upstream and the log
    /// say is compared.
    pub fn log_level(&mut self, level: LogLevel) {
        self.settings.log_level = level;
    }

    /// The plugin's `allow_on_headers_stop_iteration`: whether `StopIteration` in a headers callback holds only the headers.
    pub fn allow_on_headers_stop_iteration(&mut self, allow: bool) {
        self.settings.allow_on_headers_stop_iteration = allow;
    }

    /// The listener's `per_connection_buffer_limit_bytes`: 1 MiB unless said otherwise.
    pub fn buffer_limit(&mut self, bytes: u32) {
        self.settings.buffer_limit = Some(bytes);
    }

    /// Metadata in the host's configuration, or of each request: JSON, an object of namespaces. There is none unless said here.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, MetadataOf};
    /// # fn body(mut host: Host) {
    /// host.metadata(MetadataOf::Route, r#"{ "com.example.limits": { "requests": 5 } }"#);
    /// # }
    /// ```
    ///
    /// The names of what has the metadata are the same for every test: the route is `route` of the virtual host `all`, the cluster
    /// `upstream`, the filter chain `chain`, and the node `node` of the fleet `fleet`.
    ///
    /// # Panics
    /// The text is not a JSON object.
    #[allow(clippy::panic, reason = "this is how a test with a mistake fails")]
    pub fn metadata(&mut self, of: MetadataOf, json: impl fmt::Display) {
        let fields = serde_json::from_str(&json.to_string());
        let fields = fields.unwrap_or_else(|error| panic!("the metadata is not a JSON object: {error}"));
        Arc::make_mut(&mut self.settings.metadata).set(of, fields);
    }

    /// Gives the host a cluster with one server, which answers what the plugin calls. Clusters are made before
    /// [`configure`](Self::configure); one of the same name is replaced.
    ///
    /// The server speaks HTTP/1.1. What it received during an exchange is in [`Exchange::calls`].
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.cluster("authz", |call| Reply::new(if call.header("authorization").is_some() { 200 } else { 403 }));
    /// # }
    /// ```
    pub fn cluster(&mut self, name: &str, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.add_cluster(name, Endpoint::Server(Arc::new(answer)));
    }

    /// Gives the host a cluster that has no host: a call to it fails at once, without a response.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.cluster_without_hosts("empty");
    /// # }
    /// ```
    pub fn cluster_without_hosts(&mut self, name: &str) {
        self.add_cluster(name, Endpoint::Absent);
    }

    /// Gives the host a cluster whose only host refuses connections.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.cluster_that_refuses("down");
    /// # }
    /// ```
    pub fn cluster_that_refuses(&mut self, name: &str) {
        self.add_cluster(name, Endpoint::Refusing);
    }

    /// Gives the host a cluster with one gRPC server, which answers each call when all of it has come: with [`Reply::grpc`],
    /// [`Reply::grpc_messages`] or [`Reply::grpc_status`]. What it received is in [`Exchange::calls`], with
    /// [`Received::grpc_messages`].
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.grpc_cluster("authz", |call| match call.grpc_messages().as_slice() {
    ///     [message] if message == b"let me in" => Reply::grpc(b"welcome"),
    ///     _ => Reply::grpc_status(7, "not you"),
    /// });
    /// # }
    /// ```
    pub fn grpc_cluster(&mut self, name: &str, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.add_cluster(name, Endpoint::Grpc(Arc::new(answer)));
    }

    /// Gives the host a cluster with one gRPC server for bidirectional streams. It opens its half at once and answers each message as it
    /// comes; when the client has ended its half, it ends the stream with the status OK.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Turn};
    /// # fn body(mut host: Host) {
    /// host.grpc_stream_cluster("echo", |message| vec![message.to_vec()]);
    /// host.grpc_stream_cluster("strict", |message| match message {
    ///     b"bad" => Turn::default().end(3, "that was bad"),
    ///     good => vec![good.to_vec()].into(),
    /// });
    /// # }
    /// ```
    pub fn grpc_stream_cluster<T: Into<Turn>>(
        &mut self,
        name: &str,
        answer: impl Fn(&[u8]) -> T + Send + Sync + 'static,
    ) {
        self.add_cluster(name, Endpoint::GrpcStream(Arc::new(move |message: &[u8]| answer(message).into())));
    }

    fn add_cluster(&mut self, name: &str, endpoint: Endpoint) {
        self.settings.clusters.retain(|cluster| cluster.name != name);
        self.settings.clusters.push(Cluster { name: name.into(), endpoint });
    }

    /// Starts the plugin with a configuration: JSON or any text. A plugin that runs already is ended first.
    ///
    /// # Errors
    /// The plugin refused it, or the module cannot be loaded. The error shows what the plugin logged.
    pub fn configure(&mut self, configuration: impl fmt::Display) -> Result<(), Refused> {
        if self.started {
            self.backend.stop();
        }
        self.settings.configuration = configuration.to_string().into_bytes();
        self.start()
    }

    fn start(&mut self) -> Result<(), Refused> {
        self.started = true;
        match self.backend.start(&self.settings) {
            Ok(events) => {
                self.transcript.start = events;
                Ok(())
            }
            Err(refused) => {
                self.transcript.refused = Some(refused.events.clone());
                Err(refused)
            }
        }
    }

    /// How the upstream answers from now on. It receives the request as it left the host.
    pub fn upstream(&mut self, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.answer = Arc::new(answer);
    }

    /// A `GET` request.
    pub fn get(&mut self, path: &str) -> ExchangeBuilder<'_> {
        self.request("GET", path)
    }

    /// A `POST` request.
    pub fn post(&mut self, path: &str) -> ExchangeBuilder<'_> {
        self.request("POST", path)
    }

    /// A request with any method. It goes out when [`send`](ExchangeBuilder::send) is called.
    pub fn request(&mut self, method: &str, path: &str) -> ExchangeBuilder<'_> {
        ExchangeBuilder::new(self, method, path)
    }

    /// A TCP connection of a client, through the plugin, to an upstream. It is played when [`play`](ConnectionBuilder::play) is called.
    ///
    /// ```
    /// # use proxy_filter_host::{End, Host};
    /// # fn body(mut host: Host) {
    /// let connection = host.connect().send("hello").upstream_answers(|received| received.to_ascii_uppercase()).play();
    /// assert_eq!(connection.client().text(), "HELLO", "{connection}");
    /// assert_eq!(connection.client().end, End::Finished);
    /// # }
    /// ```
    pub fn connect(&mut self) -> ConnectionBuilder<'_> {
        ConnectionBuilder::new(self)
    }

    pub(crate) fn play(&mut self, script: &[Step]) -> Connection {
        if !self.started {
            self.settings.tcp = true;
            if let Err(refused) = self.start() {
                return Connection::refused(refused);
            }
        }
        assert!(
            self.settings.tcp,
            "the plugin was configured for requests: call `host.tcp()` before `host.configure(…)`"
        );
        let record = self.backend.connection(script);
        assert!(
            record.failure.is_none(),
            "the connection could not be played: {}",
            record.failure.as_deref().unwrap_or_default()
        );
        if self.observer.is_some() {
            self.transcript.connections.push(record.clone());
        }
        Connection::new(record)
    }

    pub(crate) fn send(&mut self, request: &Request) -> Exchange {
        if !self.started
            && let Err(refused) = self.start()
        {
            return Exchange::refused(refused);
        }
        assert!(!self.settings.tcp, "the plugin was configured for connections (`host.tcp()`): use `host.connect()`");
        let record = self.backend.exchange(request, &self.answer);
        self.note(record)
    }

    fn note(&mut self, record: Record) -> Exchange {
        assert!(
            record.failure.is_none(),
            "the exchange could not be played: {}",
            record.failure.as_deref().unwrap_or_default()
        );
        // Nobody asks a tool's host for them, and a tool may send many.
        if self.observer.is_some() {
            self.transcript.exchanges.push(record.clone());
        }
        Exchange::new(record)
    }

    /// Lets time pass while no request is under way, and returns what the plugin did meanwhile: its ticks, and the items it was told of.
    ///
    /// The embedded host's clock stands still otherwise, so that a test knows what time it is; this moves it on, in no time. A real Envoy's
    /// clock goes all the time, and there this waits as long as it says. So a test that shall be the same in both has its filter end
    /// its ticks by itself, or leaves a good part of a period between the last tick and the end: in Envoy the next period begins when a tick
    /// is over.
    ///
    /// In Envoy every VM of the plugin ticks; what the one on the worker thread does is what is returned.
    pub fn advance(&mut self, by: Duration) -> Exchange {
        if !self.started
            && let Err(refused) = self.start()
        {
            return Exchange::refused(refused);
        }
        let record = self.backend.advance(by);
        self.note(record)
    }

    /// The value of a counter or gauge, by the name the filter gives it; `None` if there is none. A histogram has no single value.
    ///
    /// With labels, the name is as in `responses.method.GET.status.200`. In Envoy it is the sum over all VMs of the plugin: what `on_start` and
    /// `on_configure` count is there several times.
    #[must_use]
    pub fn metric(&mut self, name: &str) -> Option<u64> {
        self.backend.metric(name)
    }

    /// What the plugin logged while it started, or was refused.
    #[must_use]
    pub fn start_logs(&self) -> Vec<LogLine> {
        let events = self.transcript.refused.as_ref().unwrap_or(&self.transcript.start);
        events.iter().filter_map(Event::log_line).cloned().collect()
    }

    /// Rules of the host that the module has broken so far, although the host did not say so.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.backend.violations()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Host {
    /// # Panics
    /// The filter broke a rule of the host, and the test did not fail already.
    fn drop(&mut self) {
        if self.started {
            self.backend.stop();
        }
        if let Some(observer) = self.observer.take() {
            observer(std::mem::take(&mut self.transcript));
        }
        let violations = self.backend.violations();
        let failed = thread::panicking();
        assert!(violations.is_empty() || failed, "the filter broke rules of the host:\n  {}", violations.join("\n  "));
    }
}
