//! The command line of `proxy-filter`: help, exit codes, colours, and the small subcommands.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use common::{command, example, fails, ok, stdout};
use serde_json::Value;

/// The subcommands that `--help` lists.
fn subcommands() -> Vec<String> {
    let help = ok(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_subcommand_has_help_with_an_example() {
    let names = subcommands();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let help = ok(&[&name, "--help"]);
        assert!(help.contains("Example"), "{name}: {help}");
        assert!(help.contains("proxy-filter ") || help.contains("cargo demo"), "{name}: {help}");
    }
}

#[test]
fn every_shell_has_completions_with_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(&["completions", shell]);
        for name in subcommands() {
            assert!(script.contains(&name), "{shell} does not complete {name}");
        }
    }
}

#[test]
fn each_outcome_has_its_exit_code() {
    let module = example("http_config");
    assert!(ok(&["--help"]).contains("Exit codes:"));
    ok(&["validate", &module, "--config", r#"{"headers": []}"#]);
    fails(1, &["validate", &module, "--config", r#"{"headers": 1}"#]);
    fails(2, &["validate", &module, "--no-such-option"]);
    fails(2, &["no-such-subcommand"]);
    fails(3, &["validate", "no-such-file.wasm"]);
}

#[test]
fn a_file_that_is_no_module_fails_the_check() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(fails(1, &["check", manifest]).contains("is not a wasm module"));
}

#[test]
fn a_refused_configuration_is_reported_with_the_log_line_of_the_module() {
    let module = example("http_config");
    let text = fails(1, &["validate", &module, "--config", r#"{"headers": [{"name": "a"}]}"#]);
    assert!(text.contains("refuses the configuration") && text.contains("missing field `value`"), "{text}");
    let output = command().args(["--json", "validate", &module, "--config", r#"{"headers": 1}"#]).output().unwrap();
    let verdict: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(verdict["accepted"], false);
    assert!(verdict["logs"][0]["message"].as_str().unwrap().contains("headers"), "{verdict}");
}

#[test]
fn colours_follow_the_rules_of_the_ecosystem() {
    let module = example("http_config");
    let coloured = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = command();
        command.args(flags).args(["validate", &module, "--config", "{}"]).envs(variables.iter().copied());
        stdout(&command.output().unwrap()).contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]), "a pipe is no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]), "NO_COLOR wins");
    assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]), "the flag wins");
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]));
}

#[test]
fn imports_and_exports_are_listed() {
    let module = example("http_config");
    assert!(ok(&["check", &module]).contains("exports: _initialize"));
    let report: Value = serde_json::from_str(&ok(&["check", &module, "--json"])).unwrap();
    assert!(report["imports"].as_array().unwrap().iter().any(|name| name == "env.proxy_log"), "{report}");
}

#[test]
fn a_package_is_built_and_its_module_used() {
    let package = common::repository().join("examples/http_config");
    assert!(ok(&["check", package.to_str().unwrap()]).contains("exports: _initialize"));
    let empty = tempfile::tempdir().unwrap();
    assert!(fails(3, &["check", empty.path().to_str().unwrap()]).contains("has no Cargo.toml"));
}

#[test]
fn the_tags_of_a_metric_are_printed_as_envoy_reads_them() {
    let expected = r"- tag_name: 'method'
  regex: '^wasmcustom\.responses(\.method\.([^.]+))\.status\.[^.]+$'
- tag_name: 'status'
  regex: '^wasmcustom\.responses\.method\.[^.]+(\.status\.([^.]+))$'
";
    assert_eq!(ok(&["stats-tags", "responses", "method", "status"]), expected);
}

#[test]
fn a_metric_without_labels_needs_no_tags() {
    assert!(fails(2, &["stats-tags", "responses"]).contains("<LABEL>"));
}
