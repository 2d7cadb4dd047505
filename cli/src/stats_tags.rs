//! `stats-tags`: the entries of Envoy's configuration for a metric with labels.

use crate::output::Result;
use clap::Args;

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  proxy-filter stats-tags responses method status

The entries belong into `stats_config.stats_tags` of Envoy's bootstrap configuration.")]
pub(crate) struct Arguments {
    /// The metric's name.
    name: String,
    /// The names of its labels, in the order of the filter.
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
}

/// Prints the entries.
#[allow(clippy::unnecessary_wraps, reason = "every subcommand may fail")]
pub(crate) fn run(arguments: &Arguments) -> Result {
    let labels: Vec<&str> = arguments.labels.iter().map(String::as_str).collect();
    for tag in proxy_filter::metric::stats_tags(&arguments.name, &labels) {
        print!("{tag}");
    }
    Ok(())
}
