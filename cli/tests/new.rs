//! `proxy-filter new`: every template is a project whose tests pass and whose module starts.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use common::{command, fails, ok, repository, stderr, stdout};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The templates that the command offers.
fn templates() -> Vec<String> {
    let help = ok(&["new", "--help"]);
    let listed = help.lines().skip_while(|line| !line.trim().starts_with("Possible values:")).skip(1);
    let listed = listed.take_while(|line| line.trim().starts_with("- "));
    listed.map(|line| line.trim()[2..].split(':').next().unwrap().to_owned()).collect()
}

fn make(directory: &Path, template: &str) -> String {
    let name = format!("my-{template}");
    let path = directory.join(&name);
    let sdk = repository();
    ok(&["new", path.to_str().unwrap(), "--template", template, "--sdk-path", sdk.to_str().unwrap(), "--no-git"]);
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_template_passes_its_tests_is_formatted_and_starts_with_its_configuration() {
    let templates = templates();
    assert_eq!(templates.len(), 7, "{templates:?}");
    let root = tempfile::tempdir().unwrap();
    // With the target directory, the versions and the debug information of this repository,
    // dependencies are used that are built already.
    let target = Path::new(env!("CARGO_BIN_EXE_proxy-filter")).ancestors().nth(2).unwrap();
    let environment = [("CARGO_TARGET_DIR", target.to_str().unwrap()), ("CARGO_PROFILE_DEV_DEBUG", "false")];
    for template in templates {
        let project = make(root.path(), &template);
        std::fs::copy(repository().join("Cargo.lock"), Path::new(&project).join("Cargo.lock")).unwrap();
        let cargo = |arguments: &[&str]| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.current_dir(&project).args(arguments).envs(environment);
            let output = cargo.env("RUSTFLAGS", "-Dwarnings").env_remove("RUSTFLAGS").output().unwrap();
            assert!(output.status.success(), "{template}: {arguments:?}\n{}{}", stdout(&output), stderr(&output));
            stdout(&output)
        };
        cargo(&["fmt", "--check"]);
        let tests = cargo(&["test"]);
        assert!(tests.contains("::native ... ok") && tests.contains("::wasm ... ok"), "{template}: {tests}");
        let mut validate = command();
        validate.current_dir(&project).envs(environment);
        let output = validate.args(["validate", "--config", "config.json"]).output().unwrap();
        assert!(output.status.success(), "{template}: {}{}", stdout(&output), stderr(&output));
        let manifest = std::fs::read_to_string(Path::new(&project).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("{{"), "{template}: {manifest}");
        let module = target.join(format!("wasm32-unknown-unknown/release/my_{}.wasm", template.replace('-', "_")));
        assert!(module.is_file(), "{template}: {}", module.display());
    }
}

#[test]
fn the_configuration_of_envoy_is_the_one_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    for template in templates() {
        let project = make(root.path(), &template);
        let read = |name: &str| std::fs::read_to_string(Path::new(&project).join(name)).unwrap();
        let (envoy, configuration) = (read("envoy.yaml"), read("config.json"));
        let _: Value = serde_json::from_str(&configuration).unwrap();
        assert!(envoy.contains(configuration.trim()), "{template}: {envoy}");
        assert!(envoy.contains(&format!("release/my_{}.wasm", template.replace('-', "_"))), "{template}: {envoy}");
        assert!(read(".gitignore").contains("/target"));
    }
}

#[test]
fn without_a_clone_the_released_version_is_used() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("guard");
    ok(&["new", path.to_str().unwrap()]);
    let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("proxy-filter = { version = \"0.1\", features = [\"json\"] }"), "{manifest}");
    assert!(path.join(".git").is_dir());
}

#[test]
fn names_that_cargo_refuses_and_directories_in_use_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    for name in ["1st", "a.b", "a b", "proxy-filter", "async", "ä"] {
        fails(2, &["new", &path(name)]);
        assert!(!root.path().join(name).exists(), "{name}");
    }
    ok(&["new", &path("guard")]);
    assert!(fails(3, &["new", &path("guard")]).contains("already exists"));
    assert!(fails(2, &["new", &path("other"), "--sdk-path", "/"]).contains("is not a clone of proxy-filter"));
}

/// For `cargo generate`: each file that its script names exists.
#[test]
fn the_template_of_cargo_generate_has_the_same_choices() {
    let directory = repository().join("cli/templates");
    let settings = std::fs::read_to_string(directory.join("cargo-generate.toml")).unwrap();
    for template in templates() {
        assert!(settings.contains(&format!("\"{template}\"")), "{template}");
        for file in ["lib.rs", "tests.rs", "envoy.yaml", "config.json"] {
            assert!(directory.join("filters").join(&template).join(file).is_file(), "{template}/{file}");
        }
    }
    assert!(directory.join("choose.rhai").is_file());
}
