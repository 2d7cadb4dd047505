//! `completions`: the completion script of a shell.

use crate::output::Result;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter completions bash > ~/.local/share/bash-completion/completions/proxy-filter
  proxy-filter completions zsh  > ~/.zfunc/_proxy-filter
  proxy-filter completions fish > ~/.config/fish/completions/proxy-filter.fish")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
#[allow(clippy::unnecessary_wraps, reason = "every subcommand may fail")]
pub(crate) fn run(arguments: &Arguments, command: &mut Command) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "proxy-filter", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
