//! Settings of the build that are missing: seen in the module, and in the manifest of its package.

use super::anatomy::{Anatomy, PAGE};
use crate::module;
use crate::output::{Failure, Result, grouped};
use std::path::Path;

/// The stack of the templates of `new`.
const STACK: u64 = 48 * 1024;

/// What the module shows.
pub(super) fn of_module(anatomy: &Anatomy) -> Vec<[String; 2]> {
    let mut advice = Vec::new();
    if let (Some(stack), Some(pages)) = (anatomy.stack, anatomy.pages_with_stack(STACK))
        && pages < anatomy.pages
    {
        advice.push([
            format!(
                "the stack of {} bytes takes most of the {} pages that each VM begins with: {pages} would do",
                grouped(stack),
                anatomy.pages
            ),
            format!(
                "Rust: write `rustflags = [\"-Clink-arg=-zstack-size={STACK}\"]` under [target.wasm32-unknown-unknown] in \
                 .cargo/config.toml. C, C++: -Wl,-z,stack-size={STACK}. Deep recursion needs more stack"
            ),
        ]);
    }
    if anatomy.most_pages.is_some_and(|most| most * PAGE < 1 << 20) {
        advice.push([
            "the module limits its memory to less than 1 MiB".to_owned(),
            "link without --max-memory: a request with a large body traps the VM".to_owned(),
        ]);
    }
    let names = anatomy.section("names") + anatomy.section("debug information");
    if names > 0 {
        advice.push([
            format!("{} bytes are names and debug information, which Envoy does not need to run the module", grouped(names)),
            "Rust: strip = true in [profile.release]; C, C++: -Wl,--strip-all; Go: -ldflags=-s. Keep the file with names for \
             the backtraces of traps"
                .to_owned(),
        ]);
    }
    advice
}

/// The settings of [profile.release] that make modules small, with what is missing without them.
const PROFILE: [(&str, &[&str], &str); 4] = [
    ("opt-level", &["s", "z", "3"], "opt-level = \"s\""),
    ("lto", &["true", "fat"], "lto = true"),
    ("codegen-units", &["1"], "codegen-units = 1"),
    ("strip", &["true", "symbols", "debuginfo"], "strip = true"),
];

/// What the manifest of a package lacks.
///
/// # Errors
/// Fails if cargo or the manifest cannot be read.
pub(super) fn of_package(directory: &Path) -> Result<Vec<[String; 2]>> {
    let manifest = module::workspace_root(directory)?.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    let table: toml::Table = text.parse().map_err(|error| Failure::work(format!("{}: {error}", manifest.display())))?;
    let profile = table.get("profile").and_then(|profile| profile.get("release"));
    let is_set = |name: &str, wanted: &[&str]| {
        let value = profile.and_then(|profile| profile.get(name)).map(|value| match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => String::new(),
        });
        value.is_some_and(|value| wanted.contains(&value.as_str()))
    };
    let missing: Vec<_> =
        PROFILE.iter().filter(|(name, wanted, _)| !is_set(name, wanted)).map(|(.., line)| *line).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![[
        format!("[profile.release] of {} lacks settings that make modules smaller", manifest.display()),
        format!("add {}", missing.join(", ")),
    ]])
}
