//! How a plugin is deployed, and Envoy's configuration for it.

use crate::endpoint::{Cluster, Endpoint};
use crate::module::PluginArguments;
use crate::output::{Failure, Result};
use clap::{Args, ValueEnum};
use proxy_filter_host::ModuleReport;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The options that `package` and `envoy` share.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Deployment")]
pub(crate) struct Deployment {
    /// What happens to requests after the VM has trapped.
    #[arg(long, value_name = "POLICY", default_value = "closed")]
    pub(crate) failure_policy: FailurePolicy,
    /// Plugins with the same ID, module and VM configuration share their VMs and their shared data.
    #[arg(long, value_name = "ID", default_value = "")]
    pub(crate) vm_id: String,
    /// Let `StopIteration` in a headers callback stop the headers only (Envoy 1.35 and later).
    #[arg(long)]
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// An environment variable of the VM; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// An environment variable of the proxy that the VM gets too; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = variable_name)]
    pub(crate) host_env: Vec<String>,
    /// A metric and its labels, for Envoy's `stats_tags`; may be repeated.
    #[arg(long, value_name = "METRIC:LABEL,LABEL", value_parser = labels)]
    pub(crate) stats_tag: Vec<(String, Vec<String>)>,
    /// What the module filters; read off its callbacks by default.
    #[arg(long)]
    pub(crate) kind: Option<Kind>,
    /// Let the module call every host function, in place of those that it imports.
    #[arg(long)]
    pub(crate) unrestricted: bool,
}

impl Deployment {
    /// What the module filters.
    pub(crate) fn kind(&self, report: &ModuleReport) -> Kind {
        self.kind.unwrap_or_else(|| Kind::of(report))
    }

    /// Checks that each variable has one value: Envoy and Istio refuse others.
    ///
    /// # Errors
    /// Fails with the name of a variable that is given more than once.
    pub(crate) fn check(&self) -> Result {
        let mut names = BTreeSet::new();
        let mut all = self.env.iter().map(|(name, _)| name).chain(&self.host_env);
        match all.find(|name| !names.insert(*name)) {
            Some(name) => Err(Failure::usage(format!("the variable {name} is given more than once"))),
            None => Ok(()),
        }
    }
}

/// What happens to requests after the VM has trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailurePolicy {
    /// They get a 503.
    Closed,
    /// They are forwarded without the filter.
    Open,
    /// A new VM is started, and they get a 503 until then.
    Reload,
}

impl FailurePolicy {
    /// The name in Envoy's API.
    pub(crate) const fn in_envoy(self) -> &'static str {
        match self {
            Self::Closed => "FAIL_CLOSED",
            Self::Open => "FAIL_OPEN",
            Self::Reload => "FAIL_RELOAD",
        }
    }
}

fn variable(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a variable is written NAME=VALUE")?;
    Ok((variable_name(name)?, value.to_owned()))
}

fn variable_name(name: &str) -> std::result::Result<String, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("the name of a variable has at least one character, and no `=`".to_owned());
    }
    Ok(name.to_owned())
}

fn labels(text: &str) -> std::result::Result<(String, Vec<String>), String> {
    let (metric, labels) = text.split_once(':').ok_or("labels are written METRIC:LABEL,LABEL")?;
    Ok((metric.to_owned(), labels.split(',').map(str::to_owned).collect()))
}

/// What a module filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Requests and responses.
    Http,
    /// TCP connections.
    Tcp,
    /// Nothing: it logs requests.
    AccessLog,
}

impl Kind {
    /// Reads it off the callbacks that a module exports.
    ///
    /// Filters of this SDK export callbacks of the other kind as well, which stop streams that the
    /// filter cannot see: a filter of connections `proxy_on_request_headers`, a filter of requests
    /// both `proxy_on_new_connection` and `proxy_on_downstream_data`.
    fn of(report: &ModuleReport) -> Self {
        let has = |name: &str| report.exports.iter().any(|export| export == name);
        let only_http = ["response_headers", "request_body", "response_body", "request_trailers", "response_trailers"];
        let only_tcp = ["upstream_data", "downstream_connection_close", "upstream_connection_close"];
        let has_one = |names: &[&str]| names.iter().any(|name| has(&format!("proxy_on_{name}")));
        if has_one(&only_http) {
            Self::Http
        } else if has_one(&only_tcp) || has("proxy_on_downstream_data") && !has("proxy_on_new_connection") {
            Self::Tcp
        } else if has("proxy_on_request_headers") {
            Self::Http
        } else if has("proxy_on_new_connection") {
            Self::Tcp
        } else if has("proxy_on_log") {
            Self::AccessLog
        } else {
            Self::Http
        }
    }
}

/// Everything that a configuration is written from.
pub(crate) struct Plugin<'a> {
    pub(crate) name: &'a str,
    pub(crate) root_id: &'a str,
    /// The text of the configuration.
    pub(crate) configuration: Option<&'a str>,
    pub(crate) report: &'a ModuleReport,
    pub(crate) deployment: &'a Deployment,
    /// The path of the module, as Envoy sees it.
    pub(crate) file: &'a str,
}

/// The traffic around a plugin.
pub(crate) struct Traffic<'a> {
    pub(crate) port: u16,
    pub(crate) admin_port: Option<u16>,
    pub(crate) upstream: &'a Endpoint,
    pub(crate) clusters: &'a [Cluster],
}

fn type_url(name: &str) -> String {
    format!("type.googleapis.com/envoy.{name}")
}

impl Plugin<'_> {
    /// Envoy's `PluginConfig`.
    fn config(&self) -> Value {
        let Self { name, root_id, configuration, report, deployment, file } = self;
        let mut vm = json!({
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": file } },
        });
        let mut config = json!({ "name": name, "failure_policy": deployment.failure_policy.in_envoy() });
        set(&mut vm, "vm_id", (!deployment.vm_id.is_empty()).then(|| json!(deployment.vm_id)));
        let values: Map<_, _> = deployment.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut environment = json!({});
        set(&mut environment, "key_values", (!values.is_empty()).then_some(Value::Object(values)));
        set(&mut environment, "host_env_keys", (!deployment.host_env.is_empty()).then(|| json!(deployment.host_env)));
        let is_set = environment.as_object().is_some_and(|environment| !environment.is_empty());
        set(&mut vm, "environment_variables", is_set.then_some(environment));
        set(&mut config, "root_id", (!root_id.is_empty()).then(|| json!(root_id)));
        set(&mut config, "vm_config", Some(vm));
        set(
            &mut config,
            "configuration",
            configuration
                .map(|text| json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": text })),
        );
        let stop = deployment.allow_on_headers_stop_iteration.then_some(Value::Bool(true));
        set(&mut config, "allow_on_headers_stop_iteration", stop);
        let allowed: Map<_, _> = report.capabilities().into_iter().map(|name| (name, json!({}))).collect();
        let restriction = json!({ "allowed_capabilities": allowed });
        set(&mut config, "capability_restriction_config", (!deployment.unrestricted).then_some(restriction));
        config
    }

    /// A complete configuration of Envoy: a listener with the plugin, the upstream, the clusters.
    pub(crate) fn bootstrap(&self, traffic: &Traffic<'_>) -> Value {
        let kind = self.deployment.kind(self.report);
        let filters = match kind {
            Kind::Tcp => json!([
                {
                    "name": "envoy.filters.network.wasm",
                    "typed_config": { "@type": type_url("extensions.filters.network.wasm.v3.Wasm"), "config": self.config() },
                },
                {
                    "name": "envoy.filters.network.tcp_proxy",
                    "typed_config": {
                        "@type": type_url("extensions.filters.network.tcp_proxy.v3.TcpProxy"),
                        "stat_prefix": "ingress",
                        "cluster": UPSTREAM,
                    },
                },
            ]),
            Kind::Http | Kind::AccessLog => json!([{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": self.connection_manager(kind),
            }]),
        };
        let mut clusters = vec![cluster(UPSTREAM, traffic.upstream)];
        clusters.extend(traffic.clusters.iter().map(|called| cluster(&called.name, &called.endpoint)));
        let mut bootstrap = json!({
            "static_resources": {
                "listeners": [{
                    "name": "main",
                    "address": address("127.0.0.1", traffic.port),
                    "filter_chains": [{ "filters": filters }],
                }],
                "clusters": clusters,
            },
        });
        let tags: Vec<_> =
            self.deployment.stats_tag.iter().flat_map(|(metric, labels)| stats_tags(metric, labels)).collect();
        set(&mut bootstrap, "stats_config", (!tags.is_empty()).then(|| json!({ "stats_tags": tags })));
        set(&mut bootstrap, "admin", traffic.admin_port.map(|port| json!({ "address": address("127.0.0.1", port) })));
        bootstrap
    }

    fn connection_manager(&self, kind: Kind) -> Value {
        let mut filters = Vec::new();
        let mut loggers = Vec::new();
        if kind == Kind::AccessLog {
            loggers.push(json!({
                "name": "envoy.access_loggers.wasm",
                "typed_config": { "@type": type_url("extensions.access_loggers.wasm.v3.WasmAccessLog"), "config": self.config() },
            }));
        } else {
            filters.push(json!({
                "name": "envoy.filters.http.wasm",
                "typed_config": { "@type": type_url("extensions.filters.http.wasm.v3.Wasm"), "config": self.config() },
            }));
        }
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": type_url("extensions.filters.http.router.v3.Router") },
        }));
        let mut manager = json!({
            "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "ingress",
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "route_config": { "virtual_hosts": [{
                "name": UPSTREAM,
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": UPSTREAM } }],
            }] },
            "http_filters": filters,
        });
        set(&mut manager, "access_log", (!loggers.is_empty()).then(|| json!(loggers)));
        manager
    }
}

const UPSTREAM: &str = "upstream";

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

fn cluster(name: &str, endpoint: &Endpoint) -> Value {
    let is_address = endpoint.host.parse::<std::net::IpAddr>().is_ok();
    let mut cluster = json!({
        "name": name,
        "type": if is_address { "STATIC" } else { "STRICT_DNS" },
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(&endpoint.host, endpoint.port) } }] }],
        },
    });
    let protocol = json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": { "http2_protocol_options": {} },
    } });
    set(&mut cluster, "typed_extension_protocol_options", endpoint.http2.then_some(protocol));
    let tls = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
            "sni": endpoint.host,
        },
    });
    set(&mut cluster, "transport_socket", endpoint.tls.then_some(tls));
    cluster
}

/// The entries of `stats_tags` for a metric.
fn stats_tags(metric: &str, labels: &[String]) -> Vec<Value> {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let tags = proxy_filter::metric::stats_tags(metric, &labels);
    tags.iter().map(|tag| json!({ "tag_name": tag.tag_name, "regex": tag.regex })).collect()
}

/// The configuration of a plugin as JSON, for manifests whose field for it is JSON.
///
/// # Errors
/// Fails if the configuration is no JSON object.
pub(crate) fn json_configuration(plugin: &PluginArguments) -> Result<Option<Value>> {
    let Some(text) = plugin.read()? else { return Ok(None) };
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if value.is_object() => Ok(Some(value)),
        _ => Err(Failure::check(
            "the configuration is no JSON object: Istio and Envoy Gateway pass only objects; write the others with \
             `--format envoy`",
        )),
    }
}
