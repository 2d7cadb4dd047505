//! Building the module a test runs: with the run itself, so that it is never missing or stale.

use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const TARGET: &str = "wasm32-unknown-unknown";

/// The module could not be built.
#[derive(Clone, Debug)]
pub struct BuildError(String);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// Which module of a package.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Artifact {
    Library(String),
    Example(String, String),
}

/// Builds a package's library for wasm32 in the release profile and returns the path of the module.
///
/// `directory` is any directory of the workspace. With `example`, the example of that name is built
/// instead. A missing wasm target is added with rustup. A second call in the same process returns
/// the same path.
///
/// # Errors
/// cargo's own error output; or what to do where a target cannot be added.
pub fn build_guest(directory: &Path, package: &str, example: Option<&str>) -> Result<PathBuf, BuildError> {
    static BUILT: Mutex<Option<HashMap<Artifact, PathBuf>>> = Mutex::new(None);
    let artifact = match example {
        Some(example) => Artifact::Example(package.into(), example.into()),
        None => Artifact::Library(package.into()),
    };
    // The lock is taken during the build: tests that need the same module wait for it, and do not
    // build it twice.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(&artifact) {
        return Ok(path.clone());
    }
    ensure_target()?;
    let path = build(directory, &artifact)?;
    built.insert(artifact, path.clone());
    Ok(path)
}

fn tool(variable: &str, name: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or_else(|| name.into()))
}

/// Adds the wasm target unless it is installed.
fn ensure_target() -> Result<(), BuildError> {
    let installed = || {
        let output = tool("RUSTC", "rustc").args(["--print", "target-libdir", "--target", TARGET]).output().ok()?;
        let directory = String::from_utf8(output.stdout).ok()?;
        Path::new(directory.trim()).is_dir().then_some(())
    };
    if installed().is_some() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if installed().is_some() {
        return Ok(());
    }
    let why = match added {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(BuildError(format!("the target {TARGET} is missing, and `rustup target add {TARGET}` did not add it: {why}")))
}

/// Runs `cargo build` for wasm32 with these arguments and returns cargo's messages about what it
/// made.
fn run(directory: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Result<Vec<Value>, BuildError> {
    let mut cargo = tool("CARGO", "cargo");
    cargo.current_dir(directory).args(["build", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.args(arguments).envs(environment.iter().copied());
    let output = cargo.output().map_err(|error| BuildError(format!("cargo did not run: {error}")))?;
    if !output.status.success() {
        return Err(BuildError(format!("{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr))));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Builds modules with these arguments of cargo and returns its messages about them.
///
/// # Errors
/// cargo's own error output; or what to do where a target cannot be added.
pub fn build_modules(
    directory: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
) -> Result<Vec<Value>, BuildError> {
    ensure_target()?;
    run(directory, arguments, environment)
}

/// The module in a message of cargo, if the message is about the target of this name.
#[must_use]
pub fn module_in(message: &Value, name: &str) -> Option<PathBuf> {
    let target = message.get("target")?;
    (target.get("name")?.as_str()?.replace('-', "_") == name).then_some(())?;
    let files = message.get("filenames")?.as_array()?;
    let is_module = |file: &&str| Path::new(file).extension().is_some_and(|extension| extension == "wasm");
    files.iter().filter_map(Value::as_str).find(is_module).map(PathBuf::from)
}

fn build(directory: &Path, artifact: &Artifact) -> Result<PathBuf, BuildError> {
    let (arguments, name) = match artifact {
        Artifact::Library(package) => {
            (["--package", package, "--lib"].map(str::to_owned).to_vec(), package.replace('-', "_"))
        }
        Artifact::Example(package, example) => {
            (["--package", package, "--example", example].map(str::to_owned).to_vec(), example.clone())
        }
    };
    let arguments = [vec!["--release".to_owned()], arguments].concat();
    let messages = run(directory, &arguments, &[])?;
    let mut modules = messages.iter().filter_map(|message| module_in(message, &name));
    modules.next_back().ok_or_else(|| {
        BuildError(format!(
            "cargo build {} made no .wasm file for `{name}`: does its [lib] have crate-type = [\"cdylib\"]?",
            arguments.join(" ")
        ))
    })
}
