//! The Kubernetes resources that deploy a plugin with Istio or with Envoy Gateway.

use super::name;
use crate::deployment::{Deployment, FailurePolicy, Kind};
use crate::output::{Result, yaml};
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::str::FromStr;

/// A phase of Istio's filter chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Phase {
    Unspecified,
    Authn,
    Authz,
    Stats,
}

impl Phase {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::Authn => Some("AUTHN"),
            Self::Authz => Some("AUTHZ"),
            Self::Stats => Some("STATS"),
        }
    }
}

/// What implements a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Istio,
    EnvoyGateway,
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The kinds that a resource can be attached to, each with its group and whether Istio and Envoy
/// Gateway attach to it. Istio checks this when a resource is created, beyond its schema.
const KINDS: [(&str, &str, bool, bool); 10] = [
    ("Gateway", GATEWAY_API, true, true),
    ("GatewayClass", GATEWAY_API, true, false),
    ("ListenerSet", GATEWAY_API, false, true),
    ("HTTPRoute", GATEWAY_API, false, true),
    ("GRPCRoute", GATEWAY_API, false, true),
    ("TCPRoute", GATEWAY_API, false, true),
    ("TLSRoute", GATEWAY_API, false, true),
    ("UDPRoute", GATEWAY_API, false, true),
    ("Service", "", true, false),
    ("ServiceEntry", "networking.istio.io", true, false),
];

fn kinds_of(product: Product) -> String {
    let of = KINDS.iter().filter(|(_, _, istio, gateway)| if product == Product::Istio { *istio } else { *gateway });
    of.map(|(kind, ..)| *kind).collect::<Vec<_>>().join(", ")
}

/// What a resource is attached to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    kind: &'static str,
    group: &'static str,
    in_istio: bool,
    in_envoy_gateway: bool,
    name: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, name) = text.split_once('/').ok_or("a target is written KIND/NAME, as in Gateway/eg")?;
        let Some((kind, group, in_istio, in_envoy_gateway)) = KINDS.into_iter().find(|(known, ..)| *known == kind)
        else {
            let (istio, gateway) = (kinds_of(Product::Istio), kinds_of(Product::EnvoyGateway));
            return Err(format!("nothing attaches to a {kind}: Istio attaches to {istio}; Envoy Gateway to {gateway}"));
        };
        Ok(Self { kind, group, in_istio, in_envoy_gateway, name: name::reference(name)? })
    }
}

/// What the resources are written from.
pub(super) struct Manifests<'a> {
    /// The name of the resources.
    pub(super) name: String,
    pub(super) namespace: &'a str,
    /// The reference of the image, by its digest.
    pub(super) image: String,
    pub(super) target: &'a Target,
    pub(super) phase: Phase,
    pub(super) root_id: &'a str,
    pub(super) configuration: Option<Value>,
    pub(super) deployment: &'a Deployment,
    pub(super) kind: Kind,
}

impl Manifests<'_> {
    /// Why a product cannot deploy the plugin like this.
    pub(super) fn refusal(&self, product: Product) -> Option<String> {
        let Target { kind, in_istio, in_envoy_gateway, .. } = self.target;
        let (name, attaches) = match product {
            Product::Istio => ("Istio", in_istio),
            Product::EnvoyGateway => ("Envoy Gateway", in_envoy_gateway),
        };
        if !attaches {
            return Some(format!("{name} attaches to {}, and not to {kind}: see --target", kinds_of(product)));
        }
        match product {
            Product::EnvoyGateway if self.kind == Kind::Tcp => {
                Some("Envoy Gateway has no wasm filters of TCP connections".to_owned())
            }
            Product::EnvoyGateway => None,
            Product::Istio => self.beyond_istio(),
        }
    }

    /// The limits of Istio's schema.
    fn beyond_istio(&self) -> Option<String> {
        const VARIABLES: usize = 256;
        const NAME: usize = 256;
        const VALUE: usize = 2048;
        let Deployment { env, host_env, .. } = self.deployment;
        let count = env.len() + host_env.len();
        if count > VARIABLES {
            return Some(format!("Istio passes at most {VARIABLES} variables, and there are {count}"));
        }
        let mut names = env.iter().map(|(name, _)| name).chain(host_env);
        if let Some(name) = names.find(|name| name.chars().count() > NAME) {
            return Some(format!("Istio allows {NAME} characters in the name of a variable: {name} has more"));
        }
        if let Some((name, _)) = env.iter().find(|(_, value)| value.chars().count() > VALUE) {
            return Some(format!("Istio allows {VALUE} characters in the value of a variable: {name} has more"));
        }
        (self.plugin_name().chars().count() > NAME)
            .then(|| format!("Istio allows {NAME} characters in the root_id, which is its pluginName"))
    }

    /// The target as Gateway API and Istio write it.
    fn target(&self) -> Value {
        let Target { kind, group, name, .. } = self.target;
        json!({ "group": group, "kind": kind, "name": name })
    }

    /// The fields that `WasmPlugin` and the `wasm` of a `TrafficExtension` share.
    fn istio_module(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("url".into(), json!(format!("oci://{}", self.image)));
        fields.insert("pluginName".into(), json!(self.plugin_name()));
        if self.kind == Kind::Tcp {
            fields.insert("type".into(), json!("NETWORK"));
        }
        let strategy = match self.deployment.failure_policy {
            FailurePolicy::Closed => "FAIL_CLOSE",
            FailurePolicy::Open => "FAIL_OPEN",
            FailurePolicy::Reload => "FAIL_RELOAD",
        };
        fields.insert("failStrategy".into(), json!(strategy));
        if let Some(configuration) = &self.configuration {
            fields.insert("pluginConfig".into(), configuration.clone());
        }
        let inline = self.deployment.env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let host = self.deployment.host_env.iter().map(|name| json!({ "name": name, "valueFrom": "HOST" }));
        let environment: Vec<_> = inline.chain(host).collect();
        if !environment.is_empty() {
            fields.insert("vmConfig".into(), json!({ "env": environment }));
        }
        fields
    }

    /// Istio passes the plugin's name as its `root_id` too.
    fn plugin_name(&self) -> &str {
        if self.root_id.is_empty() { &self.name } else { self.root_id }
    }

    /// The files that a product reads, and their names.
    pub(super) fn of(&self, product: Product) -> Result<Vec<(&'static str, String)>> {
        Ok(match product {
            Product::Istio => {
                vec![("wasm-plugin.yaml", self.wasm_plugin()?), ("traffic-extension.yaml", self.traffic_extension()?)]
            }
            Product::EnvoyGateway => vec![("envoy-extension-policy.yaml", self.envoy_extension_policy()?)],
        })
    }

    fn wasm_plugin(&self) -> Result<String> {
        let mut spec = self.istio_module();
        spec.insert("targetRefs".into(), json!([self.target()]));
        if let Some(phase) = self.phase.name() {
            spec.insert("phase".into(), json!(phase));
        }
        self.manifest("extensions.istio.io/v1alpha1", "WasmPlugin", &json!(spec), &self.istio_limits())
    }

    fn traffic_extension(&self) -> Result<String> {
        let mut spec = Map::new();
        spec.insert("targetRefs".into(), json!([self.target()]));
        spec.insert("wasm".into(), json!(self.istio_module()));
        if let Some(phase) = self.phase.name() {
            spec.insert("phase".into(), json!(phase));
        }
        self.manifest("extensions.istio.io/v1alpha1", "TrafficExtension", &json!(spec), &self.istio_limits())
    }

    fn envoy_extension_policy(&self) -> Result<String> {
        let mut wasm = json!({
            "name": self.name,
            "code": { "type": "Image", "image": { "url": self.image } },
            "failOpen": self.deployment.failure_policy == FailurePolicy::Open,
        });
        if let Some(wasm) = wasm.as_object_mut() {
            if !self.root_id.is_empty() {
                wasm.insert("rootID".into(), json!(self.root_id));
            }
            if let Some(configuration) = &self.configuration {
                wasm.insert("config".into(), configuration.clone());
            }
            if !self.deployment.host_env.is_empty() {
                wasm.insert("env".into(), json!({ "hostKeys": self.deployment.host_env }));
            }
        }
        let mut limits = self.shared_limits();
        if self.deployment.failure_policy == FailurePolicy::Reload {
            limits.push("failure policy `reload`: the policy is `closed`");
        }
        if !self.deployment.env.is_empty() {
            limits.push("--env: Envoy Gateway passes only variables of the proxy, see --host-env");
        }
        let spec = json!({ "targetRefs": [self.target()], "wasm": [wasm] });
        self.manifest("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy", &spec, &limits)
    }

    /// What neither Istio nor Envoy Gateway can express, of what was asked for.
    fn shared_limits(&self) -> Vec<&'static str> {
        let mut limits = Vec::new();
        if !self.deployment.unrestricted {
            limits.push("the least capabilities: the module may call every host function");
        }
        if !self.deployment.vm_id.is_empty() {
            limits.push("--vm-id: the plugin has VMs of its own");
        }
        if self.deployment.allow_on_headers_stop_iteration {
            limits.push("--allow-on-headers-stop-iteration: `StopIteration` stops the body too");
        }
        if !self.deployment.stats_tag.is_empty() {
            limits.push("--stats-tag: see `proxy-filter stats-tags`, and the proxy's bootstrap");
        }
        if self.kind == Kind::AccessLog {
            limits.push("an access logger: the module is a filter, whose `on_log` runs for each stream");
        }
        limits
    }

    fn istio_limits(&self) -> Vec<&'static str> {
        let mut limits = self.shared_limits();
        if !self.root_id.is_empty() {
            limits.push("a name apart from the root_id: Istio uses pluginName for both");
        }
        limits
    }

    fn manifest(&self, version: &str, kind: &str, spec: &Value, limits: &[&str]) -> Result<String> {
        let metadata = json!({ "name": self.name, "namespace": self.namespace });
        let resource = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
        let mut text = String::new();
        for limit in limits {
            let _ = writeln!(text, "# Not expressible here: {limit}.");
        }
        text.push_str(&yaml(&resource)?);
        Ok(text)
    }
}
