//! The command line of the embedded host: `cargo demo` in this repository.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy-filter: {error}");
            ExitCode::FAILURE
        }
    }
}
