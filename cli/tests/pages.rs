//! The commands of `docs/command.md` and `cli/README.md` work as they are written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

mod common;

use common::{command, example, repository};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The lines of a page's shell blocks that begin with the command.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("proxy-filter ")).map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_pages_works() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name);
    fs::copy(example("http_config"), here("guard.wasm")).unwrap();
    fs::write(here("plugin.json"), r#"{"headers": []}"#).unwrap();
    // A package of this name would build the SDK once more.
    let package = repository().join("examples/http_config").display().to_string();
    let mut seen = 0;
    for page in ["docs/command.md", "cli/README.md", "README.md"] {
        for line in commands(page) {
            seen += 1;
            let words = line.split_whitespace();
            let arguments: Vec<_> = words.map(|word| if word == "guard" { package.as_str() } else { word }).collect();
            let mut command = command();
            command.current_dir(directory.path()).args(&arguments);
            if arguments.first() == Some(&"serve") {
                let mut child = command
                    .args(["--listen", "127.0.0.1:0"])
                    .stderr(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
                assert!(lines.any(|line| line.contains("Serving http://")), "{page}: {line}");
                child.kill().unwrap();
                child.wait().unwrap();
                continue;
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{page}: {line}:\n{}", common::stderr(&output));
        }
    }
    assert!(seen >= 8, "{seen} commands");
    for file in
        ["image/index.json", "envoy.yaml", "wasm-plugin.yaml", "traffic-extension.yaml", "envoy-extension-policy.yaml"]
    {
        assert!(here("package").join(file).is_file(), "{file}");
    }
}

#[test]
fn every_subcommand_is_in_the_readme_of_the_command() {
    let readme = fs::read_to_string(repository().join("cli/README.md")).unwrap();
    let help = common::ok(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(name == "help" || readme.contains(&format!("`{name}`")), "{name}");
    }
}
