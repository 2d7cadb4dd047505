//! Rules of the source that no compiler checks: the layers of the SDK, and where unsafe code is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file: no comments, no unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The folders of the SDK from the bottom up: each names only itself and those before it.
const LAYERS: [&str; 15] = [
    "abi", "sys", "current", "log", "error", "fields", "host", "engine", "callout", "http", "tcp", "plugin",
    "exchange", "dispatch", "exports",
];

/// What makes up the public API from the layers, and a test of all of it.
const FACE: [&str; 4] = ["lib", "prelude", "__private", "field_matrix"];

#[test]
fn dependencies_of_the_sdk_point_one_way() {
    let sdk = root().join("sdk/src");
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    for path in sources(&sdk) {
        let file = path.strip_prefix(&sdk).unwrap().to_string_lossy().into_owned();
        let own = file.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if FACE.contains(&own.as_str()) {
            continue;
        }
        let own = layer(&own).unwrap_or_else(|| panic!("{file} is in no layer"));
        let code = code(&path);
        for (index, _) in code.match_indices("crate::") {
            let name: String = code[index + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // Macros are in the crate's root wherever they are defined, and `$crate` is in the author's crate.
            let is_macro = code[index + 7 + name.len()..].starts_with('!') || name.starts_with("__");
            if !is_macro && !code[..index].ends_with('$') {
                let other = layer(&name).unwrap_or_else(|| panic!("{file} names crate::{name}, which is in no layer"));
                assert!(other <= own, "{file} names crate::{name}, which is above it");
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_sys_only_and_every_block_says_why() {
    for part in ["sdk/src", "macros/src", "tests/src", "examples"] {
        for path in sources(&root().join(part)) {
            if path.to_string_lossy().contains("/target/") {
                continue;
            }
            let code = code(&path);
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let in_sys = path.starts_with(root().join("sdk/src/sys"));
            // The macros write `#[unsafe(no_mangle)]` into the code they generate.
            let generated = code.matches("#[unsafe(no_mangle)]").count();
            let count = words.filter(|word| *word == "unsafe").count();
            // `macros` also reads the keyword in an author's code, in strings.
            let reads_keyword = code.matches("\"unsafe\"").count();
            // No code: a message to an author.
            let prose = code.matches("unsafe code").count();
            assert!(
                in_sys || count == generated + reads_keyword + prose,
                "{}: unsafe code outside sdk/src/sys",
                path.display()
            );
        }
    }
    let wasm = fs::read_to_string(root().join("sdk/src/sys/wasm.rs")).unwrap();
    let blocks = wasm.matches("unsafe {").count();
    assert!(wasm.matches("// SAFETY:").count() >= blocks, "a block without a reason");
}

#[test]
fn the_repository_names_no_machine() {
    let manifest = root().join("Cargo.lock");
    let lock = fs::read_to_string(manifest).unwrap();
    assert!(!lock.contains("path+file"), "Cargo.lock names a path");
}
