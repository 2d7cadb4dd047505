//! Reads and notes what the host knows about a stream, as the path of the request says: a guest for
//! scenarios.

use proxy_filter::filter_state::{self, Declaration, Span};
use proxy_filter::foreign;
use proxy_filter::metadata::{self, Struct};
use proxy_filter::prelude::*;
use proxy_filter::{property, stream_info};
use std::fmt::Debug;

/// Logs what was read, or the kind of the error.
fn show<T: Debug>(what: &str, result: Result<T>) {
    match result {
        Ok(value) => log::info!("{what}: {value:?}"),
        Err(error) => log::info!("{what}: {:?}", error.kind()),
    }
}

/// Logs that there is a value, for one that differs from run to run.
fn exists<T>(what: &str, result: Result<Option<T>>) {
    show(what, result.map(|value| value.is_some()));
}

/// Makes a name of what is read.
macro_rules! show {
    ($($handle:ident.$method:ident),* $(,)?) => {
        $(show(concat!(stringify!($handle), ".", stringify!($method)), stream_info::$handle().$method());)*
    };
    (exists $($handle:ident.$method:ident),* $(,)?) => {
        $(exists(concat!(stringify!($handle), ".", stringify!($method)), stream_info::$handle().$method());)*
    };
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        Declaration::new("once").read_only().span(Span::DownstreamRequest).declare(&configuration)?;
        show("declared again", Declaration::new("once").text().declare(&configuration));
        show!(plugin.name, plugin.root_id, plugin.vm_id, xds.node_id, xds.node_cluster, request.path, xds.route_name);
        show("node", metadata::node().string("stage"));
        show("state", filter_state::set("a", "b"));
        show("envoy state", filter_state::set_envoy("envoy.tcp_proxy.cluster", "x", Span::FilterChain));
        show("route cache", foreign::clear_route_cache());
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

#[derive(Default)]
struct Stream {
    path: String,
}

impl Stream {
    /// What changes while the stream goes on.
    fn phase(&self, phase: &str) {
        if !self.path.starts_with("/phases") {
            return;
        }
        log::info!("--- {phase}");
        show!(request.path, request.method, request.size, request.total_size);
        show!(exists request.duration, request.time, response.backend_latency);
        show("request header", stream_info::request().header("x-client"));
        show!(response.code, response.code_details, response.flags, response.grpc_status, response.size);
        // The response's headers have a time of as many digits as it takes.
        show!(exists response.total_size);
        show("response header", stream_info::response().header("x-upstream"));
        show("response trailer", stream_info::response().trailer("x-t"));
        show!(connection.mtls, connection.requested_server_name, connection.termination_details);
        show!(connection.transport_failure_reason, connection.tls_version, connection.uri_san_peer_certificate);
        show!(xds.cluster_name, xds.route_name, xds.virtual_host_name, xds.filter_chain_name, xds.listener_direction);
        show("route metadata", metadata::route().string("example.route", "text"));
        show("state", filter_state::get("phase"));
        if phase.starts_with("request") {
            return;
        }
        // While the request is under way it depends on the clock whether there is a connection to
        // the upstream already.
        show("upstream address", stream_info::upstream().address().map(|found| found.and_then(|address| address.ip())));
        show!(exists upstream.port, upstream.local_address, upstream.connection_pool_ready_duration);
        show!(
            upstream.request_attempt_count,
            upstream.transport_failure_reason,
            upstream.locality,
            upstream.tls_version
        );
        show("host metadata", metadata::upstream_host().string("example.endpoint", "text"));
    }

    fn request() -> Result<()> {
        show!(request.path, request.url_path, request.query, request.host, request.scheme, request.method);
        show!(request.referer, request.user_agent, request.id, request.protocol, request.size, request.total_size);
        show("ip", stream_info::source().address().map(|address| address.and_then(|address| address.ip())));
        let (source, destination) = (stream_info::source(), stream_info::destination());
        show("source port", Ok(source.address()?.and_then(|a| a.socket_addr()).map(|a| a.port()) == source.port()?));
        let address = destination.address()?.and_then(|address| address.socket_addr());
        show("destination port", Ok(address.map(|address| address.port()) == destination.port()?));
        let mut headers: Vec<_> = Vec::new();
        for (name, value) in &stream_info::request().headers()?.unwrap_or_default() {
            headers.push(format!("{}={}", escaped(name), escaped(value)));
        }
        headers.sort_unstable();
        log::info!("{headers:?}");
        let time = stream_info::request().time()?.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        log::info!("after 2020: {}", time.is_some_and(|time| time.as_secs() > 1_577_836_800));
        show!(plugin.name, plugin.root_id, plugin.vm_id, xds.node_id, xds.node_cluster, xds.listener_direction);
        exists("connection.id", stream_info::connection().id());
        Ok(())
    }
}

fn metadata() {
    let route = metadata::route();
    let space = "example.route";
    for key in ["text", "empty", "missing", "nothing"] {
        show(key, route.string(space, key));
    }
    show("null", route.string("example.null", "nothing"));
    for key in ["number", "ratio", "eight", "text", "flag", "missing"] {
        show(&format!("number {key}"), route.number(space, key));
    }
    for key in ["flag", "off", "number", "missing"] {
        show(&format!("boolean {key}"), route.boolean(space, key));
    }
    for key in ["text", "number", "flag", "list", "nested", "empty", "empty_list", "empty_map", "missing"] {
        show(&format!("value {key}"), route.get(space, key));
    }
    show("value null", route.get("example.null", "nothing"));
    show("namespace", route.namespace("example.null"));
    show("no namespace", route.namespace("example.missing"));
    for (name, metadata, space) in [
        ("virtual host", metadata::virtual_host(), "example.virtual_host"),
        ("listener", metadata::listener(), "example.listener"),
        ("cluster", metadata::cluster(), "example.cluster"),
        ("endpoint", metadata::upstream_host(), "example.endpoint"),
        ("request", metadata::request(), "example.request"),
    ] {
        show(name, metadata.string(space, "text"));
        show(name, metadata.get(space, "text"));
    }
    let node = metadata::node();
    show("node", node.string("stage"));
    show("node", node.number("shard"));
    show("node", node.boolean("canary"));
    show("node", node.fields().map(|fields: Option<Struct>| fields.and_then(|fields| fields.get("shard").cloned())));
    show("node", node.fields().map(|fields| fields.map(|fields| fields.len())));
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "what is read is printed")]
struct Route {
    number: u8,
    ratio: f32,
    flag: bool,
    text: String,
    list: (u8, String, bool, Option<String>),
    nested: Nested,
    missing: Option<u8>,
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "what is read is printed")]
struct Nested {
    inner: std::collections::BTreeMap<String, String>,
    n: i64,
}

fn json() {
    show("route", metadata::route().json::<Route>("example.route"));
    show("missing", metadata::route().json::<Route>("example.missing"));
    let error = metadata::route().json::<Route>("example.null").err();
    log::info!("{}", error.map(|error| error.to_string()).unwrap_or_default());
}

fn state() {
    show("before", filter_state::get("phase"));
    show("set", filter_state::set("phase", "one"));
    show("get", filter_state::get("phase").map(|value| value.map(HeaderValue::from)));
    show("set again", filter_state::set("phase", b"\xff\0"));
    show("get", filter_state::get("phase"));
    show("empty", filter_state::set("empty", ""));
    show("empty", filter_state::get("empty"));
    show("a built-in name", filter_state::set("request", "mine"));
    show("a built-in name", filter_state::get("request"));
    show("read-only", filter_state::set("once", "first"));
    show("read-only again", filter_state::set("once", "second"));
    show("read-only", filter_state::get("once").map(|value| value.map(HeaderValue::from)));
    let name = "envoy.network.upstream_server_name";
    show("envoy before", filter_state::get_envoy(name));
    show("envoy set", filter_state::set_envoy(name, "example.com", Span::FilterChain));
    show("envoy", filter_state::get_envoy(name).map(|value| value.map(HeaderValue::from)));
    show("envoy with a bad value", filter_state::set_envoy("envoy.upstream.dynamic_port", "none", Span::FilterChain));
    show("envoy unknown", filter_state::set_envoy("nobody.knows", "x", Span::DownstreamRequest));
}

/// The names that attributes had before Envoy 1.33.
const OLDER_NAMES: [&str; 8] = [
    "node",
    "cluster_name",
    "route_name",
    "listener_direction",
    "route_metadata",
    "listener_metadata",
    "cluster_metadata",
    "upstream_host_metadata",
];

/// What is found of attributes after a filter has stored values under their older names.
fn stored() {
    let text = |metadata: metadata::Metadata| metadata.string("example.stored", "text");
    show!(xds.cluster_name, xds.route_name);
    show("route", text(metadata::route()));
    show("route bytes", metadata::route().to_bytes().map(|found| found.is_some_and(|bytes| bytes == b"forged")));
    show("cluster", text(metadata::cluster()));
    show("cluster bytes", metadata::cluster().to_bytes());
    show("upstream host", text(metadata::upstream_host()));
    show("upstream host bytes", metadata::upstream_host().to_bytes());
    show("stored", property::get(&["upstream_host_metadata"]).map(|value| value.map(HeaderValue::from)));
}

fn foreign() -> Result<()> {
    let text = "hello hello hello hello hello hello".repeat(10);
    let compressed = foreign::compress(&text)?;
    log::info!("smaller: {}", compressed.len() < text.len() / 4);
    show("uncompress", foreign::uncompress(&compressed).map(|found| found == text.as_bytes()));
    show("empty", foreign::uncompress(foreign::compress("")?));
    show("garbage", foreign::uncompress("garbage"));
    show("nothing", foreign::uncompress(""));
    show("cut", foreign::uncompress(compressed.get(..compressed.len() / 2).unwrap_or_default()));
    show("route cache", foreign::clear_route_cache());
    show("unknown", foreign::call("no_such_function", "x"));
    show("a message that is none", foreign::call("declare_property", b"\xff"));
    show("a message that is none", foreign::call("set_envoy_filter_state", b"\xff"));
    Ok(())
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.path = request.path()?.unwrap_or_default().to_string();
        self.phase("request headers");
        match self.path.split('?').next().unwrap_or_default() {
            "/request" => Self::request()?,
            "/metadata" => metadata(),
            "/json" => json(),
            "/state" => state(),
            "/foreign" => foreign()?,
            "/phases" => filter_state::set("phase", "x")?,
            "/phases-fail" => return Err(Error::other("failed as asked")),
            "/reply" | "/phases-reply" => return request.reply(LocalReply::new(403).details("no entry").body("no\n")),
            "/stored" => {
                for name in OLDER_NAMES {
                    property::set(name, "forged")?;
                }
                stored();
                request.remove("x-forwarded-proto")?;
            }
            path if path.starts_with("/property/") => {
                let parts: Vec<&str> = path.split('/').skip(2).collect();
                show("property", property::get(&parts).map(|value| value.map(HeaderValue::from)));
            }
            "/no-route" | "/phases-no-route" => request.remove("x-forwarded-proto")?,
            _ => {}
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_request_body(&mut self, _body: &mut RequestBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        self.phase("request body");
        if self.path == "/phases-buffer" && !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        _response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.phase("response headers");
        if self.path == "/stored" {
            log::info!("--- no route");
            stored();
            show!(xds.node_id, xds.listener_direction);
        }
        if self.path == "/metadata" {
            show("endpoint", metadata::upstream_host().get("example.endpoint", "text"));
            show("endpoint", metadata::upstream_host().number("example.endpoint", "weight"));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, _body: &mut ResponseBody, _end_of_stream: bool) -> Result<FilterDataStatus> {
        self.phase("response body");
        Ok(FilterDataStatus::Continue)
    }

    fn on_log(&mut self, _log: &LogContext) -> Result<()> {
        self.phase("log");
        show!(response.code, response.code_details, response.flags, xds.virtual_host_name, xds.route_name);
        Ok(())
    }

    fn on_done(&mut self) -> Result<()> {
        self.phase("done");
        Ok(())
    }
}
