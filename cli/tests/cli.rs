//! What the command `proxy-filter` prints.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_proxy-filter")).args(arguments).output().unwrap()
}

#[test]
fn the_tags_of_a_metric_are_printed_as_envoy_reads_them() {
    let output = run(&["stats-tags", "responses", "method", "status"]);
    assert!(output.status.success());
    let expected = r"- tag_name: 'method'
  regex: '^wasmcustom\.responses(\.method\.([^.]+))\.status\.[^.]+$'
- tag_name: 'status'
  regex: '^wasmcustom\.responses\.method\.[^.]+(\.status\.([^.]+))$'
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_metric_without_labels_needs_no_tags() {
    let output = run(&["stats-tags", "responses"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("stats-tags NAME LABEL..."));
}
