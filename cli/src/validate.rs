//! `validate`: starts a module with a configuration, and reports whether the module accepts it.

use crate::module::{Module, ModuleArgument, PluginArguments};
use crate::output::{self, BAD, Failure, GOOD, Result, paint};
use clap::Args;
use proxy_filter_host::Host;
use serde_json::{Value, json};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter validate guard.wasm --config plugin.json
  proxy-filter validate guard.wasm --config '{\"name\": \"x-guarded\"}'

The module is started as Envoy starts it: on_vm_start, then on_configure. What it logs is printed.
The exit code is 1 if it refuses the configuration.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
    #[command(flatten)]
    plugin: PluginArguments,
}

/// The result for a configuration.
pub(crate) struct Verdict {
    /// The reason of the refusal; `None` if the module accepted it.
    pub(crate) refused: Option<String>,
    /// The lines that the module logged: the level, and the text.
    pub(crate) logs: Vec<(&'static str, String)>,
}

/// Starts the plugin in the embedded host.
pub(crate) fn start(module: &Module, root_id: &str, configuration: &str) -> Verdict {
    let mut host = Host::for_module(&module.bytes).without_checks();
    host.root_id(root_id);
    let refused = host.configure(configuration).err().map(|refused| {
        refused.to_string().lines().next().unwrap_or_default().replace("the host refused the plugin: ", "")
    });
    let logs = host.start_logs().into_iter().map(|line| (line.level.name(), line.message)).collect();
    Verdict { refused, logs }
}

impl Verdict {
    pub(crate) fn json(&self) -> Value {
        let logs: Vec<_> =
            self.logs.iter().map(|(level, message)| json!({ "level": level, "message": message })).collect();
        json!({ "accepted": self.refused.is_none(), "reason": self.refused, "logs": logs })
    }

    pub(crate) fn print(&self) {
        match &self.refused {
            None => anstream::println!("{} the module accepts the configuration", paint(GOOD, "✓")),
            Some(why) => anstream::println!("{} the module refuses the configuration: {why}", paint(BAD, "✗")),
        }
        for (level, message) in &self.logs {
            anstream::println!("  {level}: {message}");
        }
    }
}

/// Starts the module and prints the verdict.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let module = arguments.module.load()?;
    let configuration = arguments.plugin.read()?.unwrap_or_default();
    let verdict = start(&module, &arguments.plugin.root_id, &configuration);
    if json {
        output::json(&verdict.json());
    } else {
        verdict.print();
    }
    if verdict.refused.is_some() { Err(Failure::check("")) } else { Ok(()) }
}
