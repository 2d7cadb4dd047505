//! Finds the module of a command: a file, or a cargo package that is built first.

use crate::output::{Failure, Result, progress};
use clap::{Args, ValueHint};
use proxy_filter_host::__private::build_modules;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The positional argument MODULE.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ModuleArgument {
    /// A .wasm file, or the directory of a cargo package; defaults to the current directory.
    #[arg(value_name = "MODULE", value_hint = ValueHint::AnyPath)]
    module: Option<PathBuf>,
}

/// The configuration of a plugin.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PluginArguments {
    /// The plugin's configuration, as text.
    #[arg(long, value_name = "TEXT", conflicts_with = "config")]
    pub(crate) config_text: Option<String>,
    /// A file with the plugin's configuration. A text that begins with `{` is the configuration
    /// itself.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<String>,
    /// The plugin's `root_id`.
    #[arg(long, value_name = "ID", default_value = "")]
    pub(crate) root_id: String,
}

impl PluginArguments {
    /// The file of the configuration, if it is in a file.
    pub(crate) fn file(&self) -> Option<&Path> {
        let config = self.config.as_deref()?;
        (!config.trim_start().starts_with('{')).then(|| Path::new(config))
    }

    /// Returns the configuration; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(crate) fn read(&self) -> Result<Option<String>> {
        match (&self.config_text, &self.config, self.file()) {
            (Some(text), ..) | (None, Some(text), None) => Ok(Some(text.clone())),
            (None, _, Some(path)) => {
                let read = std::fs::read_to_string(path);
                Ok(Some(read.map_err(|error| Failure::work(format!("{}: {error}", path.display())))?))
            }
            (None, None, None) => Ok(None),
        }
    }
}

/// A module, and its path.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Arc<[u8]>,
}

impl Module {
    /// Reads a file.
    pub(crate) fn read(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let bytes = std::fs::read(&path).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
        if !bytes.starts_with(b"\0asm") {
            let found = path.display();
            return Err(Failure::check(format!("{found} is not a wasm module: its first bytes are not `\\0asm`")));
        }
        Ok(Self { path, bytes: bytes.into() })
    }

    /// The name of the file without `.wasm`.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().map_or_else(|| "filter".into(), |stem| stem.to_string_lossy().into_owned())
    }
}

impl ModuleArgument {
    /// Builds the module if it is a package, and reads it.
    ///
    /// # Errors
    /// Fails if there is no such file or package, or if it cannot be built.
    pub(crate) fn load(&self) -> Result<Module> {
        let path = self.module.clone().unwrap_or_else(|| PathBuf::from("."));
        if !path.is_dir() {
            return Module::read(path);
        }
        Module::read(build(&path)?)
    }

    /// The directory of the package, unless the argument is a file.
    pub(crate) fn package(&self) -> Option<&Path> {
        let path = self.module.as_deref().unwrap_or_else(|| Path::new("."));
        path.is_dir().then_some(path)
    }

    /// Builds the package with the names of its functions, beside the usual build.
    ///
    /// # Errors
    /// Fails if the argument is a file, or if the package cannot be built.
    pub(crate) fn load_with_names(&self) -> Result<Module> {
        let directory = self.package().ok_or_else(|| {
            Failure::usage("only a package can be built with names: name the directory with its Cargo.toml")
        })?;
        with_names(directory, "none")
    }

    /// Builds the package with names and source lines, beside the usual build; or reads the file.
    ///
    /// # Errors
    /// Fails as [`load`](Self::load) does.
    pub(crate) fn load_with_lines(&self) -> Result<Module> {
        self.package().map_or_else(|| self.load(), |directory| with_names(directory, "limited"))
    }
}

/// Builds the package in a directory with names, and with this debug information.
fn with_names(directory: &Path, debug: &str) -> Result<Module> {
    let (package, workspace) = found(directory)?;
    progress("Building", format!("{package} with names"));
    let target = workspace.join("target").join("proxy-filter-names");
    let arguments = ["--release", "--package", &package, "--lib", "--target-dir", &target.display().to_string()];
    let environment = [("CARGO_PROFILE_RELEASE_STRIP", "none"), ("CARGO_PROFILE_RELEASE_DEBUG", debug)];
    Module::read(compile(directory, &package, &arguments, &environment)?)
}

/// Builds the package in a directory, and returns the path of its module.
pub(crate) fn build(directory: &Path) -> Result<PathBuf> {
    let (package, _) = found(directory)?;
    progress("Building", format!("{package} for wasm32-unknown-unknown"));
    compile(directory, &package, &["--release", "--package", &package, "--lib"], &[])
}

/// Runs cargo with these arguments, and returns the path of the package's module.
fn compile(directory: &Path, package: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<PathBuf> {
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let messages = build_modules(directory, &arguments, environment);
    let messages = messages.map_err(|error| Failure::work(error.to_string()))?;
    let files = messages.iter().filter_map(|message| message.get("filenames")?.as_array()).flatten();
    let module = files.filter_map(Value::as_str).rfind(|file| Path::new(file).extension() == Some("wasm".as_ref()));
    module.map(PathBuf::from).ok_or_else(|| {
        Failure::work(format!(
            "the library of {package} made no module: does its [lib] have crate-type = [\"cdylib\"]?"
        ))
    })
}

/// The root of the workspace that a package belongs to.
pub(crate) fn workspace_root(directory: &Path) -> Result<PathBuf> {
    Ok(found(directory)?.1)
}

/// The name of the package in a directory, and the root of its workspace.
fn found(directory: &Path) -> Result<(String, PathBuf)> {
    let manifest = directory.join("Cargo.toml");
    if !manifest.is_file() {
        let found = directory.display();
        return Err(Failure::work(format!(
            "{found} has no Cargo.toml: name a .wasm file or a package, or create one with `proxy-filter new`"
        )));
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .map_err(|error| Failure::work(format!("cargo could not be started: {error}")))?;
    if !output.status.success() {
        return Err(Failure::work(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let wanted = manifest.canonicalize()?;
    let packages = metadata.get("packages").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = packages.iter().find(|package| {
        let path = package.get("manifest_path").and_then(Value::as_str);
        path.is_some_and(|path| Path::new(path).canonicalize().is_ok_and(|path| path == wanted))
    });
    let name = named.and_then(|package| package.get("name")).and_then(Value::as_str);
    let name = name.map(str::to_owned).ok_or_else(|| {
        let found = manifest.display();
        Failure::work(format!("{found} is a workspace without a package: name the directory of one of its packages"))
    })?;
    let root = metadata.get("workspace_root").and_then(Value::as_str).unwrap_or_default();
    Ok((name, PathBuf::from(root)))
}
