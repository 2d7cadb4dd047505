//! `demo`: builds an example of this repository, and runs it on exchanges that show its effect.

use crate::module::PluginArguments;
use crate::module::{Module, build};
use crate::output::{self, Failure, Result};
use crate::run::{self, Flags};
use crate::script::Script;
use clap::Args;
use serde_json::Value;
use std::path::Path;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples, in a clone of the repository:
  cargo demo
  cargo demo http_auth
  cargo demo http_headers --path /hello --header 'a: b'")]
pub(crate) struct Arguments {
    /// The name of the example.
    #[arg(default_value = "http_headers")]
    example: String,
    #[command(flatten)]
    plugin: PluginArguments,
    #[command(flatten)]
    flags: Flags,
}

/// The script of an example, and the Envoy configuration that its README explains.
const SCRIPT: &str = "demo.yaml";
const ENVOY: &str = "envoy.yaml";

/// Reads the exchanges that show the effect of an example from its script. The plugin is configured
/// as in the example's Envoy configuration.
fn script(directory: &Path) -> Result<Script> {
    let mut script = Script::read(&directory.join(SCRIPT))?;
    let path = directory.join(ENVOY);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
    let envoy: Value =
        serde_saphyr::from_str(&text).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
    let plugin = plugins(&envoy).into_iter().find(|plugin| {
        let root_id = plugin.get("root_id").and_then(Value::as_str).unwrap_or_default();
        script.root_id.is_empty() || root_id == script.root_id
    });
    let plugin = plugin.ok_or_else(|| Failure::work(format!("{}: no such plugin", path.display())))?;
    if let Some(root_id) = plugin.get("root_id").and_then(Value::as_str) {
        root_id.clone_into(&mut script.root_id);
    }
    let setting = plugin.get("allow_on_headers_stop_iteration").and_then(Value::as_bool);
    script.allow_on_headers_stop_iteration |= setting.unwrap_or_default();
    script.configuration = script.configuration.or_else(|| plugin.pointer("/configuration/value").cloned());
    Ok(script)
}

/// Returns the settings of the Wasm plugins in an Envoy configuration.
fn plugins(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) if fields.contains_key("vm_config") => vec![value],
        Value::Object(fields) => fields.values().flat_map(plugins).collect(),
        Value::Array(items) => items.iter().flat_map(plugins).collect(),
        _ => Vec::new(),
    }
}

/// Builds the example, and runs its exchanges, or the exchange that the flags describe.
pub(crate) fn run(arguments: &Arguments) -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    let example = &arguments.example;
    let directory = root.join("examples").join(example);
    if !directory.join("Cargo.toml").is_file() {
        let mut names: Vec<String> = std::fs::read_dir(root.join("examples"))
            .map_err(|_| Failure::work("`demo` needs a clone of the repository, with its directory examples"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        return Err(Failure::work(format!("there is no example '{example}'; the examples are: {}", names.join(", "))));
    }
    let module = Module::read(build(&directory)?)?;
    let path = module.path.strip_prefix(root).unwrap_or(&module.path).display();
    anstream::println!("{path} ({} bytes)\n", output::grouped(module.bytes.len()));
    let mut script = script(&directory)?;
    if let Some(configuration) = arguments.plugin.read()? {
        script.configuration = Some(Value::String(configuration));
    }
    if !arguments.plugin.root_id.is_empty() {
        script.root_id.clone_from(&arguments.plugin.root_id);
    }
    let flags = &arguments.flags;
    if flags.are_given() {
        let Script { configuration, root_id, allow_on_headers_stop_iteration, .. } = script;
        script = Script { configuration, root_id, allow_on_headers_stop_iteration, ..flags.script() };
    }
    run::play(&module, &script)
}
