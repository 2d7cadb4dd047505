//! The command `proxy-filter`: creates, checks, runs, serves and packages proxy filters.

mod check;
mod completions;
mod demo;
mod deployment;
mod endpoint;
mod envoy;
mod host_argument;
mod module;
mod new;
mod oci;
mod output;
mod package;
mod play;
mod profile;
mod recorded;
mod run;
mod schema;
mod script;
mod serve;
mod stats_tags;
mod validate;
mod view;

use anstream::ColorChoice;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

/// Creates, checks, runs, serves and packages proxy filters for Envoy and other Proxy-Wasm hosts.
///
/// MODULE is a .wasm file of any language, or the directory of a cargo package, which is built
/// first. Without MODULE, the package of the current directory is built.
#[derive(Debug, Parser)]
#[command(name = "proxy-filter", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    /// When to use colours; auto obeys `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", alias = "colour")]
    color: When,
    /// Write JSON to the standard output, for scripts and CI.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, and everything that was checked holds
  1  the module, its configuration or an expectation failed a check
  2  the command line is wrong
  3  the command could not do its work: a file, a build, a port";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a project that builds, tests and serves at once.
    New(new::Arguments),
    /// Check in which hosts a module loads, and what its size and memory are spent on.
    Check(check::Arguments),
    /// Run exchanges through a module: from flags, a script or a recording.
    Run(run::Arguments),
    /// Serve real HTTP traffic with filters in the path, and reload them when they change.
    Serve(serve::Arguments),
    /// Start a module with a configuration, and report whether it accepts the configuration.
    Validate(validate::Arguments),
    /// Write an OCI image of a module, and the manifests that deploy it.
    Package(package::Arguments),
    /// Write a complete Envoy configuration for a module, and run Envoy with it.
    Envoy(envoy::Arguments),
    /// Print Envoy's `stats_tags` for a metric with labels.
    StatsTags(stats_tags::Arguments),
    /// Build an example of this repository, and run an exchange that shows its effect.
    Demo(demo::Arguments),
    /// Print the completions for a shell.
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    }
    .write_global();
    let json = cli.json;
    let done = match cli.command {
        Command::New(arguments) => new::run(&arguments),
        Command::Check(arguments) => check::run(&arguments, json),
        Command::Run(arguments) => run::run(&arguments, json),
        Command::Serve(arguments) => serve::run(&arguments, json),
        Command::Validate(arguments) => validate::run(&arguments, json),
        Command::Package(arguments) => package::run(&arguments, json),
        Command::Envoy(arguments) => envoy::run(&arguments),
        Command::StatsTags(arguments) => stats_tags::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
