//! Tasks of this repository that need more than one call of cargo. `.cargo/config.toml` has an
//! alias for each.

mod api;

use api::Comparison;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

const USAGE: &str = "\
cargo ci [PART…]            runs .ci/run, or these parts of it
cargo release [OPTION…]     compares the public API with the last release, packs every published
                            package, and builds it from the packed files; with --maybe-unchecked,
                            a missing cargo-semver-checks is no failure; the other options are those
                            of `cargo package`, such as --allow-dirty";

/// The option with which the API may stay unchecked.
const MAYBE_UNCHECKED: &str = "--maybe-unchecked";

/// The packed manifests have no profiles. With the debug information of the workspace's, packages
/// use the dependencies that are built already.
const PROFILE: [&str; 4] =
    ["--config", "profile.dev.debug='line-tables-only'", "--config", "profile.dev.package.'*'.debug=false"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    let done = match arguments.split_first() {
        Some((task, parts)) if task == "ci" => run(Command::new(root.join(".ci/run")).args(parts)),
        Some((task, options)) if task == "release" => release(root, options),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Packs the packages that `docs/releasing.md` lists, each against the packed files of those before
/// it.
fn release(root: &Path, options: &[String]) -> Result<(), String> {
    let page = root.join("docs/releasing.md");
    let text = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let packages = packages(&text);
    for package in &packages {
        let files = output(cargo(root).args(["package", "--list", "--allow-dirty", "--package", package]))?;
        for needed in ["LICENSE", "README.md"] {
            if !files.lines().any(|file| file == needed) {
                return Err(format!("{package} would be published without {needed}: add it to `include`"));
            }
        }
    }
    let may_skip = options.iter().any(|option| option == MAYBE_UNCHECKED);
    let options: Vec<&String> = options.iter().filter(|option| *option != MAYBE_UNCHECKED).collect();
    compare_api(root, &text, may_skip)?;
    forget_packed(&packages);
    let mut package = cargo(root);
    package.arg("package").args(PROFILE).args(&options);
    for name in packages {
        package.args(["--package", name]);
    }
    run(&mut package)?;
    // Without its features it is empty, and it depends on no other package of the table.
    let kit = ["--package", "proxy-filter-kit", "--all-features"];
    run(cargo(root).arg("package").args(PROFILE).args(&options).args(kit))
}

/// Compares the public API of each published library with that of the last release, or reports why
/// it is not compared.
fn compare_api(root: &Path, page: &str, may_skip: bool) -> Result<(), String> {
    let tags = output(Command::new("git").current_dir(root).args(["tag", "--list", "v*"]))?;
    let is_installed = output(cargo(root).args(["semver-checks", "--version"])).is_ok();
    match api::comparison(&tags, env!("CARGO_PKG_VERSION"), is_installed, may_skip)? {
        Comparison::Skipped(why) => eprintln!("\n{why}\n"),
        Comparison::With(tag) => {
            for package in libraries(root, page)? {
                run(cargo(root).args([
                    "semver-checks",
                    "--all-features",
                    "--baseline-rev",
                    &tag,
                    "--package",
                    package,
                ]))?;
            }
        }
    }
    Ok(())
}

/// The packages of the table with a public API that can be compared: not the macros, and not the
/// command.
fn libraries<'a>(root: &Path, page: &'a str) -> Result<Vec<&'a str>, String> {
    let mut libraries = Vec::new();
    for (package, directory) in rows(page) {
        let manifest = root.join(directory).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
        if root.join(directory).join("src/lib.rs").exists() && !text.contains("proc-macro = true") {
            libraries.push(package);
        }
    }
    Ok(libraries)
}

/// Removes the files that an earlier run unpacked. Cargo would use them again instead of the new
/// ones, because the version is the same. It keeps them in a directory whose name starts with `-`:
/// the registry of packed files has no host.
fn forget_packed(packages: &[&str]) {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))) else { return };
    for kind in ["src", "cache"] {
        let registries = fs::read_dir(home.join("registry").join(kind)).into_iter().flatten().flatten();
        let packed = registries.filter(|registry| registry.file_name().to_string_lossy().starts_with('-'));
        for entry in packed.flat_map(|registry| fs::read_dir(registry.path()).into_iter().flatten().flatten()) {
            let name = entry.file_name();
            let is_ours = |package: &&str| {
                name.to_string_lossy().starts_with(&format!("{package}-{}", env!("CARGO_PKG_VERSION")))
            };
            if packages.iter().any(is_ours) {
                let path = entry.path();
                // What cannot be removed is reported by cargo.
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }
}

/// The packages of the table, in its order.
fn packages(page: &str) -> Vec<&str> {
    rows(page).into_iter().map(|(package, _)| package).collect()
}

/// The packages of the table and their directories: `` | 1 | `name` | `directory` | ``.
fn rows(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `"));
    let rows = rows.filter(|(order, _)| order.parse::<u32>().is_ok());
    rows.filter_map(|(_, rest)| rest.split_once("` | `"))
        .map(|(package, rest)| (package, rest.trim_end_matches("` |")))
        .collect()
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{libraries, packages};
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_public_api_is_that_of_the_libraries() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = fs::read_to_string(root.join("docs/releasing.md")).unwrap();
        let libraries = libraries(root, &page).unwrap();
        assert_eq!(libraries, ["proxy-filter", "proxy-filter-kit", "proxy-filter-host"]);
    }

    #[test]
    fn the_order_of_releasing_is_that_of_the_dependencies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = fs::read_to_string(root.join("docs/releasing.md")).unwrap();
        let packages = packages(&page);
        let manifests: Vec<(String, String)> = fs::read_dir(root)
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).ok())
            .filter(|manifest| !manifest.contains("publish = false") && manifest.contains("[package]"))
            .map(|manifest| {
                let name = manifest.split_once("name = \"").unwrap().1.split('"').next().unwrap().to_owned();
                (name, manifest.split("[dev-dependencies]").next().unwrap().to_owned())
            })
            .collect();
        assert_eq!(packages.len(), manifests.len(), "{packages:?} are not all published packages");
        for (name, manifest) in &manifests {
            let order = packages.iter().position(|package| package == name);
            let order = order.unwrap_or_else(|| panic!("docs/releasing.md does not list {name}"));
            for later in &packages[order..] {
                let depends = manifest
                    .lines()
                    .any(|line| line.strip_prefix(*later).is_some_and(|rest| rest.starts_with([' ', '.', '='])));
                assert!(!depends, "{name} depends on {later}, which comes later");
            }
        }
    }
}
