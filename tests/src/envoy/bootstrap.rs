//! Envoy's configuration for one module.

use crate::backend::{Plugin, Settings};
use crate::base64;
use crate::cluster::{Cluster, Endpoint};
use crate::fixture::{self, Metadata, MetadataSource};
use crate::route::Route;
use crate::tls::{self, Certificate, Tls};
use proxy_filter::log::LogLevel;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// Statistic: streams that are in flight.
pub(super) const ACTIVE_REQUESTS: &str = "http.ingress.downstream_rq_active";
/// Statistic: connections of clients that are open.
pub(super) const ACTIVE_CONNECTIONS: &str = "listener.ingress.downstream_cx_active";
/// Statistic: connections of clients that were ever opened.
pub(super) const TOTAL_CONNECTIONS: &str = "listener.ingress.downstream_cx_total";
/// Statistics: connections to the clusters of the upstream that are open.
pub(super) fn active_upstreams(settings: &Settings) -> Vec<String> {
    upstreams(settings).map(|cluster| format!("cluster.{cluster}.upstream_cx_active")).collect()
}
/// Statistics: connections to the clusters of the upstream that were ever opened.
pub(super) fn total_upstreams(settings: &Settings) -> Vec<String> {
    upstreams(settings).map(connections_to).collect()
}
/// The clusters that requests are routed to.
pub(super) fn upstreams(settings: &Settings) -> impl Iterator<Item = &str> {
    std::iter::once(fixture::CLUSTER).chain(settings.routes.clusters())
}
/// Statistic: connections to a cluster that the module calls that were ever opened.
pub(super) fn connections_to(cluster: &str) -> String {
    format!("cluster.{cluster}.upstream_cx_total")
}

/// Statistic: whether the worker threads have started.
pub(super) const WORKERS_STARTED: &str = "listener_manager.workers_started";

/// Statistic: listener configurations that were accepted, and those that were refused.
pub(super) const LISTENERS_ACCEPTED: &str = "listener_manager.lds.update_success";
pub(super) const LISTENERS_REFUSED: &str = "listener_manager.lds.update_rejected";

/// The configuration without the listener: the clusters, the ports chosen by the kernel.
///
/// The limits are above what the scenarios send (300 headers, a value of 60 KiB), trailers are on
/// for HTTP/1, and no request id is made up, so that a filter sees what the client sent and what
/// Envoy always adds. The upstream speaks the client's protocol. A connection to the upstream
/// serves one request, so that what a filter does to one exchange cannot reach the next.
///
/// Each cluster that the module calls has the address of its server here.
pub(super) fn json(
    settings: &Settings,
    module: &Path,
    upstreams: &BTreeMap<String, SocketAddr>,
    servers: &BTreeMap<String, SocketAddr>,
) -> Value {
    let mut clusters: Vec<Value> = upstreams.iter().map(|(name, address)| upstream(settings, name, *address)).collect();
    clusters.extend(settings.tls.as_ref().map(over_tls));
    clusters.extend(settings.clusters.iter().map(|cluster| called(cluster, servers.get(&cluster.name).copied())));
    let mut extensions: Vec<Value> =
        settings.service.iter().map(|service| singleton(settings, service, module)).collect();
    if settings.tls.is_some() {
        extensions.push(json!({
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": { "@type": type_url("extensions.bootstrap.internal_listener.v3.InternalListener") },
        }));
    }
    let tag = |(name, regex): &(String, String)| json!({ "tag_name": name, "regex": regex });
    json!({
        "stats_config": { "stats_tags": settings.stats_tags.iter().map(tag).collect::<Vec<_>>() },
        "node": { "id": fixture::NODE_ID, "cluster": fixture::NODE_CLUSTER, "metadata": settings.metadata.get(MetadataSource::Node) },
        "static_resources": { "clusters": clusters },
        "bootstrap_extensions": extensions,
        "admin": { "address": address("127.0.0.1", 0) },
    })
}

/// A cluster that requests are routed to.
fn upstream(settings: &Settings, name: &str, server: SocketAddr) -> Value {
    let [region, zone, sub_zone] = fixture::LOCALITY;
    let noted = |of| json!({ "filter_metadata": settings.routes.metadata_of_cluster(name, of, &settings.metadata) });
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "metadata": noted(MetadataSource::Cluster),
        "load_assignment": { "cluster_name": name, "endpoints": [{
            "locality": { "region": region, "zone": zone, "sub_zone": sub_zone },
            "lb_endpoints": [{
                "endpoint": { "address": address(&server.ip().to_string(), server.port()) },
                "metadata": noted(MetadataSource::UpstreamHost),
            }],
        }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
            "common_http_protocol_options": {
                "max_headers_count": 1000, "max_response_headers_kb": 96, "max_requests_per_connection": 1,
            },
            "use_downstream_protocol_config": {
                "http_protocol_options": { "enable_trailers": true },
                "http2_protocol_options": http2_options(settings),
            },
        } },
    });
    if let (false, Some(cluster)) = (settings.tcp, cluster.as_object_mut()) {
        cluster.insert("transport_socket".to_owned(), names_clients());
    }
    limit_buffers(&mut cluster, settings);
    cluster
}

/// The listeners, as Envoy reads them from a file again whenever it is replaced: one with the
/// module, and behind it what reaches the upstream.
pub(super) fn listeners(settings: &Settings, module: &Path) -> Value {
    let mut listener = json!({
        "@type": type_url("config.listener.v3.Listener"),
        "name": "listener",
        "address": address(if settings.ipv6 { "::1" } else { "127.0.0.1" }, 0),
        "stat_prefix": "ingress",
        "traffic_direction": "INBOUND",
        "metadata": metadata(&settings.metadata, MetadataSource::Listener),
        "filter_chains": [{ "name": fixture::FILTER_CHAIN, "filters": network_filters(settings, module) }],
    });
    if let (false, Some(listener)) = (settings.tcp, listener.as_object_mut()) {
        listener.insert("listener_filters".to_owned(), json!([names_of_clients()]));
    }
    limit_buffers(&mut listener, settings);
    let mut listeners = Vec::new();
    if let Some(tls) = &settings.tls {
        listeners.push(before_tls(settings));
        if let Some(listener) = listener.as_object_mut() {
            listener.remove("address");
            listener.insert("internal_listener".to_owned(), json!({}));
            let finds_server_name = json!({
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": { "@type": type_url("extensions.filters.listener.tls_inspector.v3.TlsInspector") },
            });
            listener.insert("listener_filters".to_owned(), json!([names_of_clients(), finds_server_name]));
            if let Some(chain) = listener.get_mut("filter_chains").and_then(|chains| chains.get_mut(0)) {
                *chain =
                    json!({ "name": chain["name"], "filters": chain["filters"], "transport_socket": accepts_tls(tls) });
            }
        }
    }
    listeners.push(listener);
    json!({ "resources": listeners })
}

/// Reads the address of a client that begins with it, if the test sets one.
fn names_of_clients() -> Value {
    json!({
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {
            "@type": type_url("extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"),
            "allow_requests_without_proxy_protocol": true,
        },
    })
}

/// The name of the cluster that connects with TLS to the listener of the filters.
const OVER_TLS: &str = "over-tls";

/// A listener for clients without TLS, which connects to that of the filters with TLS.
fn before_tls(settings: &Settings) -> Value {
    json!({
        "@type": type_url("config.listener.v3.Listener"),
        "name": "before-tls",
        "address": address(if settings.ipv6 { "::1" } else { "127.0.0.1" }, 0),
        "stat_prefix": "before_tls",
        "listener_filters": [names_of_clients()],
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": type_url("extensions.filters.network.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": "before_tls", "cluster": OVER_TLS,
            },
        }] }],
    })
}

/// The client of TLS: a cluster whose host is the listener of the filters.
fn over_tls(tls: &Tls) -> Value {
    let shown: Vec<Value> = tls.certificate.iter().map(with_key).collect();
    let socket = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
            "sni": tls.server_name.as_deref().unwrap_or_default(),
            "common_tls_context": {
                "tls_certificates": shown, "tls_params": { "tls_maximum_protocol_version": "TLSv1_3" },
            },
        },
    });
    json!({
        "name": OVER_TLS,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": OVER_TLS, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "envoy_internal_address": { "server_listener_name": "listener" } } },
        }] }] },
        "transport_socket": after_name_of_client(&socket),
    })
}

/// The server of TLS: it requests a certificate, and accepts any.
fn accepts_tls(tls: &Tls) -> Value {
    let own = Certificate::of_host();
    let accepted = tls.certificate.as_ref().unwrap_or(&own);
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "tls_certificates": [with_key(&own)],
                "validation_context": {
                    "trusted_ca": { "inline_string": accepted.pem() }, "trust_chain_verification": "ACCEPT_UNTRUSTED",
                },
            },
        },
    })
}

fn with_key(certificate: &Certificate) -> Value {
    json!({ "certificate_chain": { "inline_string": certificate.pem() }, "private_key": { "inline_string": tls::KEY } })
}

/// Names the client at the beginning of each connection to the upstream, before the request: no
/// filter sees it, and the upstream knows whose request it receives.
fn names_clients() -> Value {
    after_name_of_client(&json!({
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": { "@type": type_url("extensions.transport_sockets.raw_buffer.v3.RawBuffer") },
    }))
}

/// A connection that begins with the name of the client.
fn after_name_of_client(socket: &Value) -> Value {
    json!({
        "name": "envoy.transport_sockets.upstream_proxy_protocol",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"),
            "config": { "version": "V1" },
            "transport_socket": socket,
        },
    })
}

fn limit_buffers(part: &mut Value, settings: &Settings) {
    if let (Some(limit), Some(part)) = (settings.buffer_limit, part.as_object_mut()) {
        part.insert("per_connection_buffer_limit_bytes".to_owned(), limit.into());
    }
}

/// A plugin that runs once.
fn singleton(settings: &Settings, service: &Plugin, module: &Path) -> Value {
    let config = configured(settings, service, module);
    json!({
        "name": "envoy.bootstrap.wasm",
        "typed_config": { "@type": type_url("extensions.wasm.v3.WasmService"), "singleton": true, "config": config },
    })
}

/// The module between client and upstream: for connections as a filter of its own, for requests as
/// one of the connection manager's.
fn network_filters(settings: &Settings, module: &Path) -> Value {
    if !settings.tcp {
        return json!([{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(settings, module),
        }]);
    }
    let wasm = |plugin: &Plugin| {
        json!({
            "name": "envoy.filters.network.wasm",
            "typed_config": {
                "@type": type_url("extensions.filters.network.wasm.v3.Wasm"), "config": configured(settings, plugin, module),
            },
        })
    };
    let mut filters: Vec<Value> = settings.plugins().iter().map(wasm).collect();
    filters.push(json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": type_url("extensions.filters.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": "ingress", "cluster": fixture::CLUSTER,
        },
    }));
    filters.into()
}

/// A port without a listener.
const CLOSED: u16 = 1;

/// A cluster that the module calls.
fn called(cluster: &Cluster, server: Option<SocketAddr>) -> Value {
    let host = match cluster.endpoint {
        Endpoint::Server(_) | Endpoint::Grpc(_) | Endpoint::GrpcStream(_) => {
            server.map(|server| address(&server.ip().to_string(), server.port()))
        }
        Endpoint::Refusing => Some(address("127.0.0.1", CLOSED)),
        Endpoint::Absent | Endpoint::Live => None,
    };
    let grpc = matches!(cluster.endpoint, Endpoint::Grpc(_) | Endpoint::GrpcStream(_));
    let protocol = if grpc {
        json!({ "http2_protocol_options": {} })
    } else {
        json!({ "http_protocol_options": { "enable_trailers": true } })
    };
    let hosts: Vec<Value> = host.into_iter().map(|address| json!({ "endpoint": { "address": address } })).collect();
    json!({
        "name": cluster.name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": cluster.name, "endpoints": [{ "lb_endpoints": hosts }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
            "common_http_protocol_options": {
                "max_headers_count": 1000, "max_response_headers_kb": 96, "max_requests_per_connection": 1,
            },
            "explicit_http_config": protocol,
        } },
    })
}

fn connection_manager(settings: &Settings, module: &Path) -> Value {
    let plugins: Vec<Value> = settings.plugins().iter().map(|plugin| configured(settings, plugin, module)).collect();
    let mut filters = vec![set_metadata(&settings.metadata)];
    filters.extend(set_filter_state(&settings.filter_state));
    let mut access_loggers = Vec::new();
    for plugin in plugins {
        if settings.access_logger {
            access_loggers.push(json!({
                "name": "envoy.access_loggers.wasm",
                "typed_config": { "@type": type_url("extensions.access_loggers.wasm.v3.WasmAccessLog"), "config": plugin },
            }));
        } else {
            filters.push(json!({
                "name": "envoy.filters.http.wasm",
                "typed_config": { "@type": type_url("extensions.filters.http.wasm.v3.Wasm"), "config": plugin },
            }));
        }
    }
    access_loggers.extend(settings.access_log.as_deref().map(written));
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": type_url("extensions.filters.http.router.v3.Router") },
    }));
    json!({
        "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "generate_request_id": false,
        "http_protocol_options": { "enable_trailers": true },
        "http2_protocol_options": http2_options(settings),
        "max_request_headers_kb": 96,
        "upgrade_configs": settings.upgrades.iter().map(|name| json!({ "upgrade_type": name })).collect::<Vec<_>>(),
        "common_http_protocol_options": { "max_headers_count": 1000 },
        "delayed_close_timeout": "0.1s",
        "route_config": { "name": "routes", "virtual_hosts": virtual_hosts(settings) },
        "access_log": access_loggers,
        "http_filters": filters,
    })
}

/// What ends a line of the access log: a byte that no header has.
pub(super) const END_OF_LINE: &str = "\u{1e}\n";
/// What is between the address of the client and the line.
pub(super) const AFTER_ADDRESS: char = '\t';

/// An access log on standard output: for each stream the address of its connection, and the line of
/// the test.
fn written(format: &str) -> Value {
    let line = format!("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%{AFTER_ADDRESS}{format}{END_OF_LINE}");
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": type_url("extensions.access_loggers.stream.v3.StdoutAccessLog"),
            "log_format": { "text_format_source": { "inline_string": line } },
        },
    })
}

/// The routes of the test. Without one, everything is routed to the upstream. `CONNECT` needs a
/// route of its own.
fn virtual_hosts(settings: &Settings) -> Vec<Value> {
    let to = |name: &str, matcher: Value, cluster: &str, metadata: Value| {
        let action = json!({ "cluster": cluster, "timeout": "15s" });
        json!({ "name": name, "match": matcher, "metadata": metadata, "route": action })
    };
    let by_default =
        |matcher| to(fixture::ROUTE, matcher, fixture::CLUSTER, metadata(&settings.metadata, MetadataSource::Route));
    let tunnels = settings.allows_connect().then(|| by_default(json!({ "connect_matcher": {} })));
    let host = |name: &str, domain: &str, noted: Value, routes: Vec<Value>| {
        let routes: Vec<Value> = tunnels.iter().cloned().chain(routes).collect();
        json!({ "name": name, "domains": [domain], "metadata": noted, "routes": routes })
    };
    let hosts = settings.routes.virtual_hosts();
    if hosts.is_empty() {
        let noted = metadata(&settings.metadata, MetadataSource::VirtualHost);
        return vec![host(fixture::VIRTUAL_HOST, "*", noted, vec![by_default(json!({ "prefix": "/" }))])];
    }
    let of = |route: &Route, of| json!({ "filter_metadata": settings.routes.metadata(route, of, &settings.metadata) });
    let hosts = hosts.into_iter().map(|(name, domain, routes)| {
        let noted = routes.first().map(|route| of(route, MetadataSource::VirtualHost)).unwrap_or_default();
        let routes = routes
            .into_iter()
            .map(|route| to(route.name(), route.matcher(), route.cluster_name(), of(route, MetadataSource::Route)));
        host(name, domain, noted, routes.collect())
    });
    hosts.collect()
}

fn http2_options(settings: &Settings) -> Value {
    json!({ "allow_metadata": settings.allow_metadata, "allow_connect": settings.allows_connect() })
}

/// A filter before the plugin's that notes something about each request.
fn set_metadata(metadata: &Metadata) -> Value {
    let note = |(namespace, value)| json!({ "metadata_namespace": namespace, "value": value });
    let notes: Vec<_> = metadata.get(MetadataSource::Request).iter().map(note).collect();
    json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": { "@type": type_url("extensions.filters.http.set_metadata.v3.Config"), "metadata": notes },
    })
}

/// A filter before the plugin's that puts strings into the filter state of each request, if there
/// are any.
fn set_filter_state(state: &BTreeMap<String, String>) -> Option<Value> {
    let object = |(key, value): (&String, &String)| {
        // `%` begins a command.
        let text = json!({ "text_format_source": { "inline_string": value.replace('%', "%%") } });
        json!({ "object_key": key, "factory_key": "envoy.string", "format_string": text })
    };
    (!state.is_empty()).then(|| {
        json!({
            "name": "envoy.filters.http.set_filter_state",
            "typed_config": {
                "@type": type_url("extensions.filters.http.set_filter_state.v3.Config"),
                "on_request_headers": state.iter().map(object).collect::<Vec<_>>(),
            },
        })
    })
}

/// A `core.v3.Metadata`.
fn metadata(metadata: &Metadata, of: MetadataSource) -> Value {
    json!({ "filter_metadata": metadata.get(of) })
}

fn configured(settings: &Settings, plugin: &Plugin, module: &Path) -> Value {
    json!({
        "name": plugin.name,
        "root_id": plugin.root_id,
        "vm_config": {
            "vm_id": settings.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module } },
            "configuration": bytes(&settings.vm_configuration),
            "environment_variables": { "key_values": settings.environment.iter().cloned().collect::<BTreeMap<_, _>>() },
        },
        "configuration": bytes(&plugin.configuration),
        "allow_on_headers_stop_iteration": settings.allow_on_headers_stop_iteration,
    })
}

/// Whether Envoy's log has callbacks and host calls.
pub(super) fn is_trace(settings: &Settings) -> bool {
    matches!(settings.log_level, LogLevel::Trace)
}

/// Envoy's name for the level.
pub(super) fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warning",
        LogLevel::Error => "error",
        LogLevel::Critical => "critical",
    }
}

pub(super) fn type_url(name: &str) -> String {
    format!("type.googleapis.com/envoy.{name}")
}

pub(super) fn address(ip: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": ip, "port_value": port } })
}

/// A configuration as bytes: unlike a `StringValue`, it need not be UTF-8.
fn bytes(value: &[u8]) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.BytesValue", "value": base64::encode(value) })
}
