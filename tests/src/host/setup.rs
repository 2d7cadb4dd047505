//! What is set before the plugin starts.

use super::Host;
use crate::backend::Plugin;
use crate::cluster::{Cluster, Endpoint};
use crate::fixture::{self, MetadataSource};
use crate::foreign::ForeignReply;
use crate::grpc::GrpcStreamReply;
use crate::host_profile::HostProfile;
use crate::message::{Received, Reply};
use crate::route::Route;
use crate::tls::Tls;
use proxy_filter::log::LogLevel;
use std::fmt;
use std::sync::Arc;

impl Host {
    /// Lets the embedded host behave as another host: nginx, Apache Traffic Server, Google Service
    /// Extensions, or another version of Envoy. It defaults to [`HostProfile::ENVOY_1_40`]. To be
    /// called before [`configure`](Self::configure).
    ///
    /// A module that this host does not load is refused with all reasons. Functions that it does
    /// not implement trap the VM or return a status, as the [profile](HostProfile) says, and
    /// callbacks that it does not call are not called. Everything else is as in Envoy: what is said
    /// of hosts other than Envoy is from their sources and documentation.
    ///
    /// A filter that runs natively imports nothing: a function that the host does not offer traps
    /// the VM when it is called. A real Envoy is itself, and refuses to start a plugin for another
    /// host: `#[proxy_filter_host::test(embedded)]`.
    ///
    /// ```
    /// use proxy_filter_host::{Host, HostProfile};
    /// # let module = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #     (func (export "proxy_abi_version_0_2_1"))
    /// #     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"#).unwrap();
    /// let mut host = Host::for_module(&module);
    /// host.behave_as(HostProfile::NGINX);
    /// let refused = host.configure("").unwrap_err().to_string();
    /// assert!(refused.contains("the module does not export proxy_on_vm_start"), "{refused}");
    /// ```
    pub fn behave_as(&mut self, host: HostProfile) {
        self.settings.profile = host;
    }

    /// The host that this one behaves as; of a real Envoy, the profile of its version.
    #[must_use]
    pub const fn behaves_as(&self) -> HostProfile {
        self.settings.profile
    }

    /// The plugin's `root_id`.
    pub fn root_id(&mut self, root_id: &str) {
        self.settings.root_id = root_id.into();
    }

    /// The plugins filter TCP connections: in Envoy each is `envoy.filters.network.wasm`, and
    /// `tcp_proxy` comes after them. None is an [access logger](Self::access_logger).
    ///
    /// To be called before [`configure`](Self::configure); [`connect`](Self::connect) calls it for
    /// a plugin that has not been configured.
    pub fn tcp(&mut self) {
        self.settings.tcp = true;
    }

    /// The VM's configuration: JSON or any text.
    pub fn vm_configuration(&mut self, configuration: impl fmt::Display) {
        self.settings.vm_configuration = configuration.to_string().into_bytes();
    }

    /// An environment variable of the VM: `environment_variables.key_values` of the VM's
    /// configuration.
    ///
    /// A module that is built for WASI (`wasm32-wasip1`, `GOOS=wasip1`, …) finds it where its
    /// language has them: `std::env::var` in Rust. A filter that runs natively sees those of the
    /// test's process instead. The order of several is not certain in Envoy.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.environment_variable("REGION", "eu");
    /// # }
    /// ```
    pub fn environment_variable(&mut self, name: &str, value: &str) {
        self.settings.environment.retain(|(known, _)| known != name);
        self.settings.environment.push((name.into(), value.into()));
    }

    /// Adds a filter to the end of the chain: another root context of the same module, in the same
    /// VM, with a configuration of its own.
    ///
    /// Requests pass the filters in order, responses in reverse; all log in order, and then one
    /// after the other ends. The first filter is that of [`root_id`](Self::root_id) and
    /// [`configure`](Self::configure).
    ///
    /// A [TCP connection](Self::tcp), and data of its client, pass the filters in order, data of
    /// the upstream in reverse. Each direction has one buffer: if a filter pauses data, the filters
    /// before it see it again with the next data. At the end, each filter has all its callbacks
    /// before the next one.
    ///
    /// Each filter may pause parts of a message. Envoy has one buffer for all of them: a filter
    /// that continues a message also forwards what is buffered of the body for a filter before it.
    /// The embedded host says so when it is dropped.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.root_id("auth");
    /// host.plugin("stamp", r#"{ "header": "x-stamp" }"#);
    /// host.configure(r#"{ "token": "secret" }"#).unwrap();
    /// # }
    /// ```
    pub fn plugin(&mut self, root_id: &str, configuration: impl fmt::Display) {
        let number = self.settings.more_plugins.len() + 2;
        self.settings.more_plugins.push(Plugin {
            name: format!("plugin{number}"),
            root_id: root_id.into(),
            configuration: configuration.to_string().into_bytes(),
        });
    }

    /// Runs the plugin as an access logger (`envoy.access_loggers.wasm`) instead of a filter: it
    /// logs the requests of the listener in
    /// [`RootContext::on_log`](proxy_filter::RootContext::on_log).
    pub fn access_logger(&mut self) {
        self.settings.access_logger = true;
    }

    /// Adds a plugin that runs once, on the main thread: a singleton service
    /// (`envoy.bootstrap.wasm`). It is another root context of the same module with the same
    /// `vm_id`, and filters nothing: it ticks, and is notified of the items of the queues it
    /// registers.
    ///
    /// What it logs is that of [`VmRole::Main`](crate::VmRole::Main).
    ///
    /// ```
    /// # use proxy_filter_host::{Host, VmRole};
    /// # fn body(mut host: Host) {
    /// host.root_id("reporter");
    /// host.singleton_service("collector", r#"{ "queue": "events" }"#);
    /// let exchange = host.get("/").send();
    /// assert_eq!(exchange.messages_of(VmRole::Main), ["one event"]);
    /// # }
    /// ```
    pub fn singleton_service(&mut self, root_id: &str, configuration: impl fmt::Display) {
        self.settings.service = Some(Plugin {
            name: "service".into(),
            root_id: root_id.into(),
            configuration: configuration.to_string().into_bytes(),
        });
    }

    /// Runs so many worker threads, each with a VM of its own, and shows all VMs: the trial (the
    /// canary, which is started and thrown away), the main thread's, and the workers'. They share
    /// data, queues and metrics, and each runs `on_start`, `on_configure` and `on_tick`.
    ///
    /// Without it there is one worker, and a test sees nothing of other VMs. With it, requests and
    /// connections go to the workers in turn, or where
    /// [`on_worker`](crate::RequestBuilder::on_worker) says; the VM that registered a queue last is
    /// notified of its items.
    ///
    /// The threads of a real Envoy run at the same time, and Envoy selects the worker. A test with
    /// workers is therefore compared only by the messages of client and upstream. Its own
    /// assertions, for example about metrics, must be true in any order.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.workers(2);
    /// host.configure("").unwrap();
    /// assert_eq!(
    ///     host.metric("configured"),
    ///     Some(4),
    ///     "in the canary, on the main thread, and on two workers"
    /// );
    /// # }
    /// ```
    pub fn workers(&mut self, workers: usize) {
        self.settings.workers = workers;
    }

    /// The least severe level the host logs; [`LogLevel::Trace`] unless said otherwise.
    ///
    /// A real Envoy reports callbacks and host calls at that level only: at others, only what the
    /// client, the upstream and the log say is compared.
    pub fn log_level(&mut self, level: LogLevel) {
        self.settings.log_level = level;
    }

    /// The plugin's `allow_on_headers_stop_iteration`: whether `StopIteration` in a headers
    /// callback pauses only the headers.
    pub fn allow_on_headers_stop_iteration(&mut self, allow: bool) {
        self.settings.allow_on_headers_stop_iteration = allow;
    }

    /// The listener's `per_connection_buffer_limit_bytes`: 1 MiB unless said otherwise.
    pub fn buffer_limit(&mut self, bytes: u32) {
        self.settings.buffer_limit = Some(bytes);
    }

    /// Has the client connect over IPv6: the listener's address is `[::1]` then, and the client's
    /// as well.
    pub fn ipv6(&mut self) {
        self.settings.ipv6 = true;
    }

    /// The protocols that requests may upgrade their connection to, for example `websocket`:
    /// `upgrade_configs` of the connection manager. See
    /// [`RequestBuilder::upgrade`](crate::RequestBuilder::upgrade).
    ///
    /// `CONNECT` among them lets requests with that method through, and routes them to the
    /// upstream. The bytes of [`chunks`](crate::RequestBuilder::chunks) follow when the client has
    /// the response.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # let mut host = Host::without_module();
    /// host.upgrades(&["CONNECT"]);
    /// host.upstream(|_| Reply::new(200).chunks(["pong"]));
    /// let tunnel = host.request("CONNECT", "example.com:80").chunks(["ping"]).send();
    /// assert_eq!((tunnel.upstream().unwrap().text(), tunnel.response().text()), ("ping".into(), "pong".into()));
    /// ```
    pub fn upgrades(&mut self, protocols: &[&str]) {
        self.settings.upgrades = protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
    }

    /// Whether requests with the method `CONNECT` reach the upstream.
    pub(super) fn allows_connect(&self) -> bool {
        self.settings.allows_connect()
    }

    /// Lets METADATA frames of HTTP/2 pass: `allow_metadata` in the `http2_protocol_options` of the
    /// listener and the upstream cluster.
    pub fn allow_metadata(&mut self) {
        self.settings.allow_metadata = true;
    }

    /// Metadata in the host's configuration, or of each request: JSON, an object of namespaces.
    /// There is none unless said here.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, MetadataSource};
    /// # fn body(mut host: Host) {
    /// host.metadata(MetadataSource::Route, r#"{ "com.example.limits": { "requests": 5 } }"#);
    /// # }
    /// ```
    ///
    /// The names of what has the metadata are the same for every test without a
    /// [route](Self::route) of its own: the route is `route` of the virtual host `all`, the cluster
    /// `upstream`, the filter chain `chain`, and the node `node` of the fleet `fleet`.
    ///
    /// # Panics
    /// The text is not a JSON object.
    pub fn metadata(&mut self, of: MetadataSource, json: impl fmt::Display) {
        Arc::make_mut(&mut self.settings.metadata).set(of, fixture::namespaces(&json));
    }

    /// Adds a [`Route`] to the end of the host's routes. The first that matches a request decides
    /// about its cluster; the host replies 404 to a request that none matches. Without a call of
    /// this method, each request goes to the cluster `upstream`. To be called before
    /// [`configure`](Self::configure).
    ///
    /// The host selects the route before the first filter runs, for the attributes `xds.route_…`
    /// and `xds.cluster_…`. It selects again after a filter has edited the request headers, as
    /// Envoy does, when all filters have forwarded them.
    ///
    /// A request that reaches any of the clusters is answered by [`upstream`](Self::upstream).
    ///
    /// ```
    /// use proxy_filter_host::{Host, Route};
    /// let mut host = Host::without_module();
    /// host.route(Route::new("admin").prefix("/admin").cluster("admin"));
    /// assert_eq!(host.get("/admin/users").send().upstream().unwrap().cluster, "admin");
    /// assert_eq!(host.get("/").send().status(), 404);
    /// ```
    pub fn route(&mut self, route: Route) {
        Arc::make_mut(&mut self.settings.routes).add(route);
    }

    /// Sets a property of each stream, in place of the host's own value. To be called before
    /// [`configure`](Self::configure).
    ///
    /// The value has Envoy's encoding: text as it is, a number as eight bytes (`u64` or `i64`,
    /// little endian), a boolean as one byte. [`tls`](Self::tls) sets those of TLS.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.property(&["connection", "tls_version"], "TLSv1.2");
    /// host.property(&["upstream", "request_attempt_count"], 3_u64.to_le_bytes());
    /// # }
    /// ```
    ///
    /// A real Envoy computes its properties itself, and refuses to start with one of a test:
    /// `#[proxy_filter_host::test(embedded)]`. There the address of the client is that of
    /// [`source_address`](crate::RequestBuilder::source_address), and metadata and filter state are
    /// those of [`metadata`](Self::metadata) and [`filter_state`](Self::filter_state).
    pub fn property(&mut self, path: &[&str], value: impl AsRef<[u8]>) {
        self.settings.properties.insert(path.join("\0").into_bytes(), value.as_ref().to_vec());
    }

    /// Puts a string into the filter state of each request, as if a filter before the plugin's had
    /// put it there. [`filter_state::get_envoy`](proxy_filter::filter_state::get_envoy) reads it.
    /// To be called before [`configure`](Self::configure).
    ///
    /// In a real Envoy it is `envoy.filters.http.set_filter_state` with the factory `envoy.string`.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.filter_state("example.tenant", "acme");
    /// assert_eq!(host.get("/").send().upstream().unwrap().header("x-tenant"), Some("acme".into()));
    /// # }
    /// ```
    pub fn filter_state(&mut self, key: &str, value: &str) {
        self.settings.filter_state.insert(key.to_owned(), value.to_owned());
    }

    /// Has clients connect with TLS: requests have the scheme `https`, and filters read the
    /// attributes `connection.tls_version`, `connection.mtls`, `connection.requested_server_name`
    /// and those of the certificates. To be called before [`configure`](Self::configure).
    ///
    /// In a real Envoy it is TLS: a listener before the filter's connects to it with the client's
    /// certificate. A plugin that filters [TCP connections](Self::tcp) has none.
    ///
    /// ```
    /// # use proxy_filter_host::{Certificate, Host, Tls};
    /// # fn body(mut host: Host) {
    /// let client = Certificate::new("CN=client,O=Example").uri("spiffe://example.com/client");
    /// host.tls(Tls::new().server_name("api.example.com").certificate(client));
    /// assert_eq!(host.get("/").send().upstream().unwrap().header("x-client"), Some("CN=client,O=Example".into()));
    /// # }
    /// ```
    pub fn tls(&mut self, tls: Tls) {
        self.settings.tls = Some(tls);
    }

    /// Sets the format of the host's access log: text with Envoy's command operators. A test reads
    /// the line of an exchange with [`Outcome::access_log`](crate::Outcome::access_log). To be
    /// called before [`configure`](Self::configure).
    ///
    /// It shows what a filter stored for others: filter state, which
    /// [`filter_state::set`](proxy_filter::filter_state::set) writes with the prefix `wasm.`. It
    /// also shows dynamic metadata, the details of a local reply, and the headers that access
    /// loggers see.
    ///
    /// The embedded host formats `REQ`, `RESP`, `TRAILER`, `PROTOCOL`, `RESPONSE_CODE`,
    /// `RESPONSE_CODE_DETAILS`, `RESPONSE_FLAGS`, `BYTES_RECEIVED`, `BYTES_SENT`, `FILTER_STATE`,
    /// `DYNAMIC_METADATA`, `METADATA`, `ROUTE_NAME`, `UPSTREAM_CLUSTER`,
    /// `DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT`, `START_TIME`, `DURATION`, `REQUEST_DURATION`,
    /// `RESPONSE_DURATION` and `RESPONSE_TX_DURATION`. It refuses a format with any other operator.
    ///
    /// `START_TIME` is that of the embedded host's [clock](Self::clock). Durations are those of the
    /// exchange: [`advance`](Self::advance) says when its parts come. In Envoy they are those of
    /// the machine: give such values names, and [ignore](Self::ignore_value_of) these.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// host.access_log("start=%START_TIME% duration=%DURATION% %RESPONSE_CODE%");
    /// host.ignore_value_of("start");
    /// host.ignore_value_of("duration");
    /// # }
    /// ```
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// let mut host = Host::without_module();
    /// host.filter_state("tenant", "acme");
    /// host.access_log("%REQ(:PATH)% %RESPONSE_CODE% %FILTER_STATE(tenant:PLAIN)% %RESP(x-none)%");
    /// assert_eq!(host.get("/a").send().access_log(), Some("/a 200 acme -"));
    /// ```
    pub fn access_log(&mut self, format: &str) {
        self.settings.access_log = Some(format.to_owned());
    }

    /// Adds a cluster with one server, which responds to the calls of the plugin. Add clusters
    /// before [`configure`](Self::configure). A cluster of the same name is replaced.
    ///
    /// The server speaks HTTP/1.1. What it received during an exchange is in
    /// [`Outcome::calls`](crate::Outcome::calls).
    ///
    /// ```
    /// # use proxy_filter_host::{Host, Reply};
    /// # fn body(mut host: Host) {
    /// host.cluster("authz", |call| {
    ///     Reply::new(if call.header("authorization").is_some() { 200 } else { 403 })
    /// });
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
    /// host.cluster_refusing_connections("down");
    /// # }
    /// ```
    pub fn cluster_refusing_connections(&mut self, name: &str) {
        self.add_cluster(name, Endpoint::Refusing);
    }

    /// Adds a cluster with one gRPC server, which responds to each call after its last message:
    /// with [`Reply::grpc`], [`Reply::grpc_messages`] or [`Reply::grpc_status`]. The received calls
    /// are in [`Outcome::calls`](crate::Outcome::calls), with [`Received::grpc_messages`].
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

    /// Adds a cluster with one gRPC server for bidirectional streams. It opens its half at once and
    /// responds to each message when it arrives. When the client has closed its half, it ends the
    /// stream with the status OK.
    ///
    /// ```
    /// # use proxy_filter_host::{Host, GrpcStreamReply};
    /// # fn body(mut host: Host) {
    /// host.grpc_stream_cluster("echo", |message| vec![message.to_vec()]);
    /// host.grpc_stream_cluster("strict", |message| match message {
    ///     b"bad" => GrpcStreamReply::default().end(3, "that was bad"),
    ///     good => vec![good.to_vec()].into(),
    /// });
    /// # }
    /// ```
    pub fn grpc_stream_cluster<T: Into<GrpcStreamReply>>(
        &mut self,
        name: &str,
        answer: impl Fn(&[u8]) -> T + Send + Sync + 'static,
    ) {
        self.add_cluster(name, Endpoint::GrpcStream(Arc::new(move |message: &[u8]| answer(message).into())));
    }

    /// Adds a foreign function to the embedded host, besides those of Envoy: it gets the bytes of
    /// the argument, and may call the module back, in
    /// [`on_foreign_function`](proxy_filter::RootContext::on_foreign_function) of the context that
    /// called.
    ///
    /// A real Envoy has no such functions, so these are tests of the embedded host only:
    /// `#[proxy_filter_host::test(embedded)]`.
    ///
    /// ```
    /// # use proxy_filter_host::{ForeignReply, Host};
    /// # fn body(mut host: Host) {
    /// host.foreign_function("resolve", |name| {
    ///     ForeignReply::new("").calls_back(0, [name, b" is at 10.0.0.1"].concat())
    /// });
    /// # }
    /// ```
    pub fn foreign_function(&mut self, name: &str, function: impl Fn(&[u8]) -> ForeignReply + Send + Sync + 'static) {
        self.settings.foreign.set(name, Arc::new(function));
    }

    /// The seed of the random bytes that the embedded host gives modules
    /// ([`random`](proxy_filter::random)); 0 unless said otherwise. With one seed they are the same
    /// in each run, natively and as wasm, and others in each VM. Those of a real Envoy have no
    /// seed.
    ///
    /// ```
    /// # use proxy_filter_host::Host;
    /// # fn body(mut host: Host) {
    /// for seed in 0..100 {
    ///     host.random_seed(seed);
    ///     host.configure("").unwrap();
    ///     assert_eq!(host.get("/").send().status(), 200, "with seed {seed}");
    /// }
    /// # }
    /// ```
    pub fn random_seed(&mut self, seed: u64) {
        self.settings.random_seed = seed;
    }

    fn add_cluster(&mut self, name: &str, endpoint: Endpoint) {
        self.settings.clusters.retain(|cluster| cluster.name != name);
        self.settings.clusters.push(Cluster { name: name.into(), endpoint });
    }
}
