//! `serve`: a local HTTP server with filters in the path.

mod calls;
mod fields;
mod generation;
mod hub;
mod page;
mod pipe;
mod recording;
mod sources;
mod tls;
mod trace;
mod worker;

use crate::endpoint::{Cluster, Endpoint};
use crate::module::{Module, ModuleArgument, PluginArguments};
use crate::output::{Failure, Result, progress};
use clap::{Args, ValueEnum, ValueHint};
use generation::Source;
use hub::Hub;
use hyper::http::uri::Scheme;
use proxy_filter_host::{Engine, LivePlugin, LiveProcess};
use sources::{LOOK, Stamp, stamp};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use trace::{Output, Trace};
use worker::Connection;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter serve guard.wasm --upstream http://127.0.0.1:8000 --config plugin.json
  proxy-filter serve guard.wasm --cluster authz=http://127.0.0.1:9000 --trace
  proxy-filter serve guard.wasm --ui    # a page on http://127.0.0.1:10001
  proxy-filter serve guard --watch      # the package in the directory guard
  proxy-filter serve auth.wasm --then stamp.wasm:stamp.json    # a chain of two filters
  curl http://127.0.0.1:10000/
  proxy-filter serve guard.wasm --tls=local.pem    # curl --cacert local.pem https://localhost:10000/

The server speaks HTTP/1 and HTTP/2, with --tls over TLS, and passes WebSocket through. Bodies stream both
ways. When a module or a configuration file changes, new streams use the new one, and streams in
flight finish with the old one. A module that refuses its configuration does not replace the old
one. A VM that has trapped replies 503 for at most a second; then a new one is started.

With --ui, a page shows the exchanges as they come: headers and bodies before and after the filters,
a timeline of callbacks, host calls and callouts, the log, metrics, shared data and queues. A request
can be changed and sent again from the page.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    plugin: PluginArguments,
    /// Where requests are forwarded to.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    upstream: Endpoint,
    /// A cluster that the filters call; may be repeated.
    #[arg(long, value_name = "NAME=URL")]
    cluster: Vec<Cluster>,
    /// The next filter of the chain, and its configuration file; may be repeated.
    #[arg(long, value_name = "MODULE[:CONFIG]")]
    then: Vec<String>,
    /// The address to listen on. Port 0 is any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10000")]
    listen: SocketAddr,
    /// Serve HTTPS, with the certificate and key of a PEM file. A missing file is written, with a
    /// certificate for localhost that is made up; without FILE, each start makes up another one.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, value_hint = ValueHint::FilePath)]
    #[allow(clippy::option_option, reason = "the option, and its value")]
    tls: Option<Option<PathBuf>>,
    /// What runs the modules.
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t)]
    engine: EngineName,
    /// Threads, each with its own VMs.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Let `StopIteration` in a headers callback stop the headers only.
    #[arg(long)]
    allow_on_headers_stop_iteration: bool,
    /// Show the exchanges on a page for the browser; the address defaults to 127.0.0.1:10001.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true,
        default_missing_value = "127.0.0.1:10001")]
    ui: Option<SocketAddr>,
    /// Build the package again when its sources change. MODULE is the directory of the package.
    #[arg(long)]
    watch: bool,
    /// Print every callback and host call.
    #[arg(long)]
    trace: bool,
}

/// An engine of this build.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum EngineName {
    /// An interpreter, which starts at once.
    #[default]
    Wasmi,
    /// A compiler: starting takes longer, and filters are as fast as in a proxy.
    #[cfg(feature = "wasmtime")]
    Wasmtime,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Wasmi => Self::Wasmi,
            #[cfg(feature = "wasmtime")]
            EngineName::Wasmtime => Self::Wasmtime,
        }
    }
}

/// A filter of the chain: its files, and what they contained when they were read.
struct Filter {
    module: PathBuf,
    configuration: Option<PathBuf>,
    plugin: LivePlugin,
}

impl Filter {
    /// Reads the files.
    fn read(&self) -> Result<(Arc<[u8]>, LivePlugin)> {
        let module = Module::read(&self.module)?;
        let mut plugin = self.plugin.clone();
        if let Some(path) = &self.configuration {
            let read = std::fs::read_to_string(path);
            plugin.configuration = read.map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
        }
        Ok((module.bytes, plugin))
    }

    /// The name of the module's file, without `.wasm`.
    fn name(&self) -> String {
        self.module.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn changed(&self) -> Vec<Stamp> {
        std::iter::once(self.module.as_path()).chain(self.configuration.as_deref()).map(stamp).collect()
    }
}

/// Serves until the process is killed.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let package = arguments.module.package().filter(|_| arguments.watch).map(Path::to_path_buf);
    if arguments.watch && package.is_none() {
        return Err(Failure::usage("--watch builds a package: name the directory with its Cargo.toml as MODULE"));
    }
    let filters = filters(arguments)?;
    let processes: Vec<_> = filters.iter().map(|_| LiveProcess::default()).collect();
    let read = || -> Result<Source> {
        let filters = filters.iter().map(Filter::read).collect::<Result<_>>()?;
        Ok(Source { engine: arguments.engine.into(), filters, processes: processes.clone() })
    };
    let source = read()?;
    // The canary VM: it says what is wrong before anything listens.
    source.start(usize::from(arguments.workers)).map_err(Failure::check)?;
    let servers = arguments.cluster.iter().map(|cluster| &cluster.endpoint).chain([&arguments.upstream]);
    let client = tls::client(servers.clone().any(|server| server.tls))?;
    let tls = arguments.tls.as_ref().map(|file| tls::acceptor(file.as_deref(), arguments.listen.ip())).transpose()?;
    let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let listener = bind(arguments.listen)?;
    let page = arguments.ui.map(|address| Ok::<_, Failure>((bind(address)?, Arc::new(Hub::new())))).transpose()?;
    let hub = page.as_ref().map(|(_, hub)| Arc::clone(hub));
    let (reload, receiver) = watch::channel(Arc::new(source));
    let mut workers = Vec::new();
    for number in 0..usize::from(arguments.workers) {
        let (connections, given) = mpsc::unbounded_channel();
        let settings = worker::Settings {
            number,
            upstream: arguments.upstream.clone(),
            clusters: arguments.cluster.clone(),
            scheme: scheme.clone(),
            tls: client.clone(),
            trace: Trace { everything: arguments.trace, json, hub: hub.clone(), output: Output::default() },
            source: receiver.clone(),
            connections: given,
        };
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            if let Err(why) = worker::run(settings) {
                progress("Failed", why);
            }
        })?;
        workers.push(connections);
    }
    progress(
        "Serving",
        format!("{scheme}://{} with {} in front of {}", listener.local_addr()?, names(&filters), arguments.upstream),
    );
    if let (Some((listener, hub)), Some(worker)) = (page, workers.first()) {
        progress("Showing", format!("the exchanges on http://{}", listener.local_addr()?));
        let of = filters.iter().zip(&processes);
        let filters = of.map(|(filter, process)| (filter.name(), process.clone())).collect();
        let subject = page::Subject { hub, filters, connections: worker.clone() };
        std::thread::Builder::new().name("page".into()).spawn(move || page::run(listener, subject))?;
    }
    std::thread::Builder::new().name("listener".into()).spawn(move || {
        for (stream, worker) in listener.incoming().flatten().zip(workers.iter().cycle()) {
            let _ = worker.send(Connection { stream, replay_of: None, tls: tls.clone() });
        }
    })?;
    if let (Some(package), Some(filter)) = (package, filters.first()) {
        let (module, hub) = (filter.module.clone(), hub.clone());
        let told = move |verb: &str, what: &str| report(hub.as_deref(), verb, what);
        std::thread::Builder::new().name("watch".into()).spawn(move || sources::run(&package, &module, told))?;
    }
    let mut before: Vec<_> = filters.iter().map(Filter::changed).collect();
    loop {
        std::thread::sleep(LOOK);
        let now: Vec<_> = filters.iter().map(Filter::changed).collect();
        if now == before || now.iter().flatten().any(Option::is_none) {
            continue;
        }
        before = now;
        let started = read().and_then(|source| {
            source.start(usize::from(arguments.workers)).map_err(Failure::check)?;
            Ok(source)
        });
        match started {
            Ok(source) => {
                let _ = reload.send(Arc::new(source));
                report(hub.as_deref(), "Reloaded", &names(&filters));
            }
            Err(why) => report(hub.as_deref(), "Refused", &format!("{why}; the old filters stay")),
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| Failure::work(format!("{address}: {error}")))
}

/// Prints a step, and shows it on the page.
fn report(hub: Option<&Hub>, verb: &str, what: &str) {
    progress(verb, what);
    if let Some(hub) = hub {
        hub.announce(&format!("{verb} {what}"));
    }
}

fn names(filters: &[Filter]) -> String {
    let names: Vec<_> = filters.iter().map(|filter| filter.module.display().to_string()).collect();
    names.join(", ")
}

fn filters(arguments: &Arguments) -> Result<Vec<Filter>> {
    let plugin = LivePlugin {
        root_id: arguments.plugin.root_id.clone(),
        configuration: arguments.plugin.read()?.unwrap_or_default(),
        clusters: arguments.cluster.iter().map(|cluster| cluster.name.clone()).collect(),
        allow_on_headers_stop_iteration: arguments.allow_on_headers_stop_iteration,
        quiet: !arguments.trace && arguments.ui.is_none(),
    };
    let first = Filter {
        module: arguments.module.load()?.path,
        configuration: arguments.plugin.file().map(Path::to_path_buf),
        plugin: plugin.clone(),
    };
    let mut filters = vec![first];
    for next in &arguments.then {
        let (module, configuration) =
            next.split_once(':').map_or((next.as_str(), None), |(module, file)| (module, Some(file)));
        filters.push(Filter {
            module: module.into(),
            configuration: configuration.map(PathBuf::from),
            plugin: LivePlugin { root_id: String::new(), configuration: String::new(), ..plugin.clone() },
        });
    }
    Ok(filters)
}
