//! `package`: an OCI image of a module, and the manifests that deploy it.

mod manifest;
mod name;

use crate::deployment::{Deployment, Plugin, Traffic, json_configuration};
use crate::endpoint::{Cluster, Endpoint};
use crate::module::{ModuleArgument, PluginArguments};
use crate::oci::{self, Image, Variant};
use crate::output::{self, Failure, Result, progress, write, yaml};
use crate::schema;
use clap::{Args, ValueEnum, ValueHint};
use manifest::{Manifests, Phase, Product, Target};
use proxy_filter_host::ModuleReport;
use serde_json::json;
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
module imports and exports, and no others. What a format cannot express is a comment in its file. A
format that cannot deploy the plugin at all is skipped with the reason; with --format it is an error.")]
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
    #[arg(long, value_name = "REFERENCE", default_value = "registry.example.com/filter:latest",
        value_parser = name::image)]
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
    #[arg(long, default_value = "default", value_parser = name::namespace)]
    namespace: String,
    /// What the policy is attached to, as in `Gateway/eg` or `HTTPRoute/backend`.
    #[arg(long, value_name = "KIND/NAME", default_value = "Gateway/gateway")]
    target: Target,
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

/// Writes the files, and lists them.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    arguments.deployment.check()?;
    let module = arguments.module.load()?;
    let report = ModuleReport::read(&module.bytes).map_err(Failure::check)?;
    if let Some(why) = &report.refusal {
        return Err(Failure::check(format!("Envoy does not load this module: {why}")));
    }
    let name = arguments.name.clone().unwrap_or_else(|| module.name());
    let wants = |format: Format| arguments.format.is_empty() || arguments.format.contains(&format);
    let (image_name, tag) = name::tag_of(&arguments.image);
    let schema = schema::find(arguments.schema.as_deref(), &arguments.module)?;
    let annotation = schema.as_ref().map(|schema| (schema::ANNOTATION, schema.to_string()));
    let image = Image::new(&module.bytes, &name, tag, arguments.variant, annotation.as_slice())?;
    let pinned = format!("{image_name}@{}", image.digest);
    let mut files = Vec::<(&str, String)>::new();
    let mut skipped = Vec::new();
    if wants(Format::Istio) || wants(Format::EnvoyGateway) {
        let manifests = Manifests {
            name: name::resource(&name).map_err(Failure::usage)?,
            namespace: &arguments.namespace,
            image: pinned.clone(),
            target: &arguments.target,
            phase: arguments.phase,
            root_id: &arguments.plugin.root_id,
            configuration: json_configuration(&arguments.plugin)?,
            deployment: &arguments.deployment,
            kind: arguments.deployment.kind(&report),
        };
        for (format, product) in [(Format::Istio, Product::Istio), (Format::EnvoyGateway, Product::EnvoyGateway)] {
            match manifests.refusal(product).filter(|_| wants(format)) {
                Some(why) if arguments.format.contains(&format) => return Err(Failure::usage(why)),
                Some(why) => skipped.push(why),
                None if !wants(format) => {}
                None => files.extend(manifests.of(product)?),
            }
        }
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
            "skipped": skipped,
        }));
    } else {
        for why in skipped {
            progress("Skipped", why);
        }
        progress("Packaged", format!("{name} in {}: {}", arguments.out.display(), names.join(", ")));
        println!("{pinned}");
    }
    Ok(())
}
