//! `package`: an OCI image of a module, and the manifests that deploy it.

use crate::deployment::{Deployment, FailurePolicy, Plugin, Traffic, json_configuration};
use crate::endpoint::{Cluster, Endpoint};
use crate::module::{ModuleArgument, PluginArguments};
use crate::oci::{self, Image, Variant};
use crate::output::{self, Failure, Result, progress, write, yaml};
use crate::schema;
use clap::{Args, ValueEnum, ValueHint};
use proxy_filter_host::ModuleReport;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter package guard.wasm --image ghcr.io/me/guard:1.0 --config plugin.json
  proxy-filter package --image ghcr.io/me/guard:1.0 --failure-policy reload --target Gateway/eg
  proxy-filter package guard.wasm --format envoy --upstream http://127.0.0.1:8000

Files, in the directory that --out names:
  image/                       the OCI image layout
  plugin.wasm                  the module
  wasm-plugin.yaml             Istio: WasmPlugin
  traffic-extension.yaml       Istio: TrafficExtension, which supersedes WasmPlugin
  envoy-extension-policy.yaml  Envoy Gateway: EnvoyExtensionPolicy
  envoy.yaml                   Envoy: a complete configuration
  config.schema.json           the JSON schema of the configuration, if there is one
  configuration.md             the fields of the configuration, from the schema

Push the image with one of:
  skopeo copy oci:image docker://ghcr.io/me/guard:1.0
  crane push image ghcr.io/me/guard:1.0

The same module makes the same bytes. envoy.yaml allows the host functions and callbacks that the
module imports and exports, and no others. What a format cannot express is a comment in its file.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    plugin: PluginArguments,
    #[command(flatten)]
    deployment: Deployment,
    /// The directory to write; created if necessary.
    #[arg(long, value_name = "DIRECTORY", default_value = "package", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// What to write; may be repeated. Everything by default.
    #[arg(long, value_name = "FORMAT")]
    format: Vec<Format>,
    /// The name of the image in its registry, as in `ghcr.io/me/guard:1.0`.
    #[arg(long, value_name = "REFERENCE", default_value = "registry.example.com/filter:latest")]
    image: String,
    /// The JSON schema of the configuration; defaults to config.schema.json of the package. The
    /// image has it as an annotation.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    schema: Option<PathBuf>,
    /// How the image contains the module.
    #[arg(long, value_name = "VARIANT", default_value = "compat")]
    variant: Variant,
    /// The plugin's name; defaults to the name of the module's file.
    #[arg(long)]
    name: Option<String>,
    /// The namespace of the Kubernetes resources.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// What the policy is attached to, as in `Gateway/eg` or `HTTPRoute/backend`.
    #[arg(long, value_name = "KIND/NAME", default_value = "Gateway/gateway", value_parser = target)]
    target: (String, String),
    /// Where Istio puts the filter into the chain.
    #[arg(long, default_value = "unspecified")]
    phase: Phase,
    /// The upstream in envoy.yaml.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    upstream: Endpoint,
    /// A cluster that the module calls, in envoy.yaml; may be repeated.
    #[arg(long, value_name = "NAME=URL")]
    cluster: Vec<Cluster>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The OCI image.
    Image,
    /// `WasmPlugin` and `TrafficExtension`.
    Istio,
    /// `EnvoyExtensionPolicy`.
    EnvoyGateway,
    /// A complete configuration of Envoy.
    Envoy,
}

/// A phase of Istio's filter chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
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

fn target(text: &str) -> std::result::Result<(String, String), String> {
    let (kind, name) = text.split_once('/').ok_or("a target is written KIND/NAME, as in Gateway/eg")?;
    Ok((kind.to_owned(), name.to_owned()))
}

/// Writes the files, and lists them.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let module = arguments.module.load()?;
    let report = ModuleReport::read(&module.bytes).map_err(Failure::check)?;
    if let Some(why) = &report.refusal {
        return Err(Failure::check(format!("Envoy does not load this module: {why}")));
    }
    let name = arguments.name.clone().unwrap_or_else(|| module.name());
    let wants = |format: Format| arguments.format.is_empty() || arguments.format.contains(&format);
    let (_, tag) = tag_of(&arguments.image);
    let schema = schema::find(arguments.schema.as_deref(), &arguments.module)?;
    let annotation = schema.as_ref().map(|schema| (schema::ANNOTATION, schema.to_string()));
    let image = Image::new(&module.bytes, &name, tag, arguments.variant, annotation.as_slice())?;
    let mut files = Vec::<(&str, String)>::new();
    let kubernetes = wants(Format::Istio) || wants(Format::EnvoyGateway);
    let configuration = if kubernetes { json_configuration(&arguments.plugin)? } else { None };
    let writer = Manifests { arguments, name: resource_name(&name), image: &image.digest, configuration };
    if wants(Format::Istio) {
        files.push(("wasm-plugin.yaml", writer.wasm_plugin()?));
        files.push(("traffic-extension.yaml", writer.traffic_extension()?));
    }
    if wants(Format::EnvoyGateway) {
        files.push(("envoy-extension-policy.yaml", writer.envoy_extension_policy()?));
    }
    if wants(Format::Envoy) {
        let configuration = arguments.plugin.read()?;
        let plugin = Plugin {
            name: &name,
            root_id: &arguments.plugin.root_id,
            configuration: configuration.as_deref(),
            report: &report,
            deployment: &arguments.deployment,
            file: "plugin.wasm",
        };
        let traffic =
            Traffic { port: 10000, admin_port: None, upstream: &arguments.upstream, clusters: &arguments.cluster };
        let head = "# Run it in this directory: envoy -c envoy.yaml\n";
        files.push(("envoy.yaml", format!("{head}{}", yaml(&plugin.bootstrap(&traffic))?)));
    }
    if let Some(schema) = &schema {
        files.push((schema::FILE, format!("{schema:#}\n")));
        files.push(("configuration.md", schema::markdown(&name, schema)));
    }
    std::fs::create_dir_all(&arguments.out)?;
    if wants(Format::Image) {
        image.write(&arguments.out.join("image"))?;
    }
    write(&arguments.out.join("plugin.wasm"), &module.bytes)?;
    for (file, contents) in &files {
        write(&arguments.out.join(file), contents)?;
    }
    let names: Vec<_> = files.iter().map(|(file, _)| *file).collect();
    if json {
        output::json(&json!({
            "directory": arguments.out,
            "image": { "reference": arguments.image, "digest": image.digest },
            "module_digest": oci::digest(&module.bytes),
            "capabilities": report.capabilities(),
            "files": names,
        }));
    } else {
        progress("Packaged", format!("{name} in {}: {}", arguments.out.display(), names.join(", ")));
        println!("{}", pinned(&arguments.image, &image.digest));
    }
    Ok(())
}

/// The name of an image and its tag.
fn tag_of(reference: &str) -> (&str, Option<&str>) {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// The reference of an image by its digest.
fn pinned(reference: &str, digest: &str) -> String {
    format!("{}@{digest}", tag_of(reference).0)
}

/// A name that Kubernetes accepts.
fn resource_name(name: &str) -> String {
    let mapped: String = name
        .to_lowercase()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .collect();
    mapped.trim_matches('-').to_owned()
}

/// What the manifests are written from.
struct Manifests<'a> {
    arguments: &'a Arguments,
    name: String,
    /// The digest of the image's manifest.
    image: &'a str,
    configuration: Option<Value>,
}

impl Manifests<'_> {
    fn metadata(&self) -> Value {
        json!({ "name": self.name, "namespace": self.arguments.namespace })
    }

    /// The target as Gateway API and Istio write it.
    fn target(&self) -> Value {
        let (kind, name) = &self.arguments.target;
        let group = match kind.as_str() {
            "Service" => "",
            "ServiceEntry" => "networking.istio.io",
            _ => "gateway.networking.k8s.io",
        };
        json!({ "group": group, "kind": kind, "name": name })
    }

    /// The fields that `WasmPlugin` and the `wasm` of a `TrafficExtension` share.
    fn istio_module(&self) -> Map<String, Value> {
        let deployment = &self.arguments.deployment;
        let mut fields = Map::new();
        fields.insert("url".into(), json!(format!("oci://{}", pinned(&self.arguments.image, self.image))));
        fields.insert("pluginName".into(), json!(self.plugin_name()));
        let strategy = match deployment.failure_policy {
            FailurePolicy::Closed => "FAIL_CLOSE",
            FailurePolicy::Open => "FAIL_OPEN",
            FailurePolicy::Reload => "FAIL_RELOAD",
        };
        fields.insert("failStrategy".into(), json!(strategy));
        if let Some(configuration) = &self.configuration {
            fields.insert("pluginConfig".into(), configuration.clone());
        }
        let inline = deployment.env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let host = deployment.host_env.iter().map(|name| json!({ "name": name, "valueFrom": "HOST" }));
        let environment: Vec<_> = inline.chain(host).collect();
        if !environment.is_empty() {
            fields.insert("vmConfig".into(), json!({ "env": environment }));
        }
        fields
    }

    /// Istio passes the plugin's name as its `root_id` too.
    fn plugin_name(&self) -> &str {
        let root_id = self.arguments.plugin.root_id.as_str();
        if root_id.is_empty() { &self.name } else { root_id }
    }

    fn wasm_plugin(&self) -> Result<String> {
        let mut spec = self.istio_module();
        spec.insert("targetRefs".into(), json!([self.target()]));
        if let Some(phase) = self.arguments.phase.name() {
            spec.insert("phase".into(), json!(phase));
        }
        self.manifest("extensions.istio.io/v1alpha1", "WasmPlugin", &json!(spec), &self.istio_limits())
    }

    fn traffic_extension(&self) -> Result<String> {
        let mut spec = Map::new();
        spec.insert("targetRefs".into(), json!([self.target()]));
        spec.insert("wasm".into(), json!(self.istio_module()));
        if let Some(phase) = self.arguments.phase.name() {
            spec.insert("phase".into(), json!(phase));
        }
        self.manifest("extensions.istio.io/v1alpha1", "TrafficExtension", &json!(spec), &self.istio_limits())
    }

    fn envoy_extension_policy(&self) -> Result<String> {
        let deployment = &self.arguments.deployment;
        let mut wasm = json!({
            "name": self.name,
            "code": { "type": "Image", "image": { "url": pinned(&self.arguments.image, self.image) } },
            "failOpen": deployment.failure_policy == FailurePolicy::Open,
        });
        if let Some(wasm) = wasm.as_object_mut() {
            let root_id = &self.arguments.plugin.root_id;
            if !root_id.is_empty() {
                wasm.insert("rootID".into(), json!(root_id));
            }
            if let Some(configuration) = &self.configuration {
                wasm.insert("config".into(), configuration.clone());
            }
            if !deployment.host_env.is_empty() {
                wasm.insert("env".into(), json!({ "hostKeys": deployment.host_env }));
            }
        }
        let mut limits = self.shared_limits();
        if deployment.failure_policy == FailurePolicy::Reload {
            limits.push("failure policy `reload`: the policy is `closed`");
        }
        if !deployment.env.is_empty() {
            limits.push("--env: Envoy Gateway passes only variables of the proxy, see --host-env");
        }
        let spec = json!({ "targetRefs": [self.target()], "wasm": [wasm] });
        self.manifest("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy", &spec, &limits)
    }

    /// What neither Istio nor Envoy Gateway can express, of what was asked for.
    fn shared_limits(&self) -> Vec<&'static str> {
        let deployment = &self.arguments.deployment;
        let mut limits = Vec::new();
        if !deployment.unrestricted {
            limits.push("the least capabilities: the module may call every host function");
        }
        if !deployment.vm_id.is_empty() {
            limits.push("--vm-id: the plugin has VMs of its own");
        }
        if deployment.allow_on_headers_stop_iteration {
            limits.push("--allow-on-headers-stop-iteration: `StopIteration` stops the body too");
        }
        if !deployment.stats_tag.is_empty() {
            limits.push("--stats-tag: see `proxy-filter stats-tags`, and the proxy's bootstrap");
        }
        limits
    }

    fn istio_limits(&self) -> Vec<&'static str> {
        let mut limits = self.shared_limits();
        if !self.arguments.plugin.root_id.is_empty() {
            limits.push("a name apart from the root_id: Istio uses pluginName for both");
        }
        limits
    }

    fn manifest(&self, version: &str, kind: &str, spec: &Value, limits: &[&str]) -> Result<String> {
        let resource = json!({ "apiVersion": version, "kind": kind, "metadata": self.metadata(), "spec": spec });
        let mut text = String::new();
        for limit in limits {
            let _ = writeln!(text, "# Not expressible here: {limit}.");
        }
        text.push_str(&yaml(&resource)?);
        Ok(text)
    }
}
