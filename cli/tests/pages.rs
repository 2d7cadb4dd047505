//! The commands of the pages about the command, and of the guide, work as they are written.
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

/// The pages of the guide below a directory of it, as paths from the repository.
fn guide(directory: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(repository().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            pages.extend(guide(&path));
        } else if entry.path().extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

/// The subcommands that build the package of the current directory if they have no MODULE.
const OF_A_MODULE: [&str; 6] = ["check", "run", "serve", "validate", "package", "envoy"];

#[test]
fn every_command_of_the_pages_works() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name);
    fs::copy(example("http_config"), here("guard.wasm")).unwrap();
    for file in ["plugin.json", "config.json"] {
        fs::write(here(file), r#"{"headers": []}"#).unwrap();
    }
    let recorded = r#"{"log": {"entries": [{"request": {"method": "GET", "url": "https://shop.example/"}}]}}"#;
    fs::write(here("shop.har"), recorded).unwrap();
    // A package of this name would build the SDK once more.
    let package = repository().join("examples/http_config").display().to_string();
    let mut seen = 0;
    let pages = ["docs/command.md", "cli/README.md", "README.md"].map(str::to_owned);
    for page in pages.into_iter().chain(guide("docs/guide/src")) {
        for line in commands(&page) {
            seen += 1;
            let quoted = line.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().collect::<Vec<_>>(),
                _ => vec![part],
            });
            let mut arguments: Vec<_> =
                quoted.map(|word| if word == "guard" { package.as_str() } else { word }).collect();
            match arguments.as_slice() {
                // `tests/new.rs` builds the packages of `new`.
                [subcommand] if OF_A_MODULE.contains(subcommand) => arguments.push("guard.wasm"),
                [subcommand, option, ..] if OF_A_MODULE.contains(subcommand) && option.starts_with("--") => {
                    arguments.insert(1, "guard.wasm");
                }
                ["new", name, ..] => drop(fs::remove_dir_all(here(name))),
                _ => {}
            }
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
    assert!(seen >= 20, "{seen} commands");
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
