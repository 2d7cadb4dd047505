//! Helpers of the command's tests: running the command, and modules to run it on.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns the command, without colours unless a test enables them.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-filter"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PROXY_FILTER_SDK", "ENVOY"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the command, which must succeed, and returns its output.
#[track_caller]
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", stderr(&output), stdout(&output));
    stdout(&output)
}

/// Runs the command, which must fail with this exit code, and returns all its output.
#[track_caller]
pub(crate) fn fails(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Returns the module of an example of the repository, built if necessary.
pub(crate) fn example(name: &str) -> String {
    let directory = repository().join("examples").join(name);
    let built = proxy_filter_host::build_guest(&directory, name, None);
    built.unwrap_or_else(|error| panic!("{error}")).to_str().unwrap().to_owned()
}
