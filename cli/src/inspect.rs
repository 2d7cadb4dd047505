//! `inspect`: the size, the imports and the exports of a module.

use crate::module::ModuleArgument;
use crate::output::{self, Failure, Result};
use clap::Args;
use proxy_filter_host::ModuleReport;
use serde_json::json;

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  proxy-filter inspect target/wasm32-unknown-unknown/release/guard.wasm

`check` says in which hosts the module loads, and what its bytes are spent on.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    module: ModuleArgument,
}

/// Prints the lists.
pub(crate) fn run(arguments: &Arguments, json: bool) -> Result {
    let module = arguments.module.load()?;
    let report = ModuleReport::read(&module.bytes).map_err(Failure::check)?;
    if json {
        output::json(&json!({
            "module": module.path,
            "size": report.size,
            "imports": report.imports,
            "exports": report.exports,
        }));
    } else {
        print!("{report}");
    }
    Ok(())
}
