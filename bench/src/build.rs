//! Builds the bench filters.

use super::{FILTERS, Failure, Maker};
use proxy_filter_host::__private::{build_modules, module_in};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How the modules are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// The workspace's release profile, which is the one the documentation recommends: small,
    /// link-time optimised, stripped.
    Workspace,
    /// Cargo's own release profile, as a package has it that says nothing: fast, not link-time
    /// optimised, with names.
    Plain,
}

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Workspace, Self::Plain];

    /// The name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Plain => "plain",
        }
    }

    /// What cargo finds in its environment. The plain profile is that of a package that knows
    /// nothing of this repository, so it does without the stack size in `.cargo/config.toml`: this
    /// variable, empty, takes its place.
    const fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Workspace => &[],
            Self::Plain => &[("CARGO_ENCODED_RUSTFLAGS", "")],
        }
    }

    /// The arguments for cargo. They undo every setting of the workspace's profile for the plain
    /// one.
    fn arguments(self) -> Vec<String> {
        let mut arguments = vec!["--profile".to_owned()];
        match self {
            Self::Workspace => arguments.push("release".to_owned()),
            Self::Plain => {
                arguments.push("plain".to_owned());
                for setting in [
                    "inherits=\"release\"",
                    "opt-level=3",
                    "lto=false",
                    "codegen-units=16",
                    "panic=\"unwind\"",
                    "strip=\"debuginfo\"",
                ] {
                    arguments.extend(["--config".to_owned(), format!("profile.plain.{setting}")]);
                }
            }
        }
        arguments
    }
}

/// Builds the examples of these packages, in one run of cargo: the files of these modules, in their
/// order.
pub(super) fn build(profile: Profile, packages: &[&str], modules: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut arguments = profile.arguments();
    for package in packages {
        arguments.extend(["--package".to_owned(), (*package).to_owned()]);
    }
    arguments.push("--examples".to_owned());
    let artifacts = build_modules(Path::new(env!("CARGO_MANIFEST_DIR")), &arguments, profile.environment())
        .map_err(Failure::new)?;
    let find = |name: &&str| {
        let path = artifacts.iter().find_map(|artifact| module_in(artifact, name));
        path.ok_or_else(|| Failure::new(format!("{} made no module {name}", packages.join(", "))))
    };
    modules.iter().map(find).collect()
}

/// The compiled bench filters.
#[derive(Clone, Debug)]
pub struct Modules {
    paths: BTreeMap<(Maker, &'static str), PathBuf>,
}

impl Modules {
    /// Builds all of them, in one run of cargo.
    ///
    /// # Errors
    /// cargo's own error output.
    pub fn build(profile: Profile) -> Result<Self, Failure> {
        let keys = Maker::ALL.map(|maker| FILTERS.map(|filter| (maker, filter))).concat();
        let names: Vec<_> = keys.iter().map(|(maker, filter)| maker.module(filter)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let paths = build(profile, &Maker::ALL.map(Maker::package), &names)?;
        Ok(Self { paths: keys.into_iter().zip(paths).collect() })
    }

    /// The file of one filter.
    ///
    /// # Errors
    /// There is no filter of that name.
    pub fn path(&self, maker: Maker, filter: &str) -> Result<&Path, Failure> {
        let found = self.paths.iter().find(|((of, name), _)| *of == maker && *name == filter);
        found.map(|(_, path)| path.as_path()).ok_or_else(|| Failure::new(format!("there is no bench filter {filter}")))
    }

    /// The bytes of one filter.
    ///
    /// # Errors
    /// There is no filter of that name, or its file cannot be read.
    pub fn read(&self, maker: Maker, filter: &str) -> Result<Vec<u8>, Failure> {
        let path = self.path(maker, filter)?;
        std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }
}
