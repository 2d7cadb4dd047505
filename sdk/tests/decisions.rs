//! Every public function that returns a decision is in `ui/unused_decisions.rs`, whose golden file
//! shows the warning for each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Types that decide about a stream, besides what callbacks return.
const OTHERS: [&str; 4] = ["LocalReply", "Verdict", "Match", "FailurePolicy"];
/// Types that do something to a stream only if they are started.
const CALLOUTS: [&str; 6] = ["HttpCall", "GrpcCall", "GrpcStream", "Timer", "Interval", "CalloutFuture"];
/// What only generated code calls.
const GENERATED: [&str; 1] = ["policy_of"];
/// What macros of the SDK call the type of a status.
const PLACEHOLDER: &str = "$status";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
}

fn all() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&source(), &mut found);
    found
}

/// The functions that begin with `start`: their names, and what they return.
fn functions<'a>(code: &'a str, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    code.split(start).skip(1).map(|rest| {
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let signature = rest.split(['{', ';']).next().unwrap_or_default();
        // A parameter may be a closure, which returns something as well: the function's own result
        // is the last one.
        let signature = signature.split("where").next().unwrap_or_default();
        (name, signature.rsplit_once("->").map_or("", |(_, output)| output.trim()))
    })
}

/// The types that callbacks return, `()` and numbers aside.
fn statuses() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["http/context.rs", "plugin/root_context.rs", "tcp/mod.rs"] {
        let text = fs::read_to_string(source().join(file)).unwrap();
        for (name, output) in functions(&text, "\n    fn ") {
            let Some(status) = output.strip_prefix("Result<").and_then(|rest| rest.strip_suffix('>')) else { continue };
            if name.starts_with("on_") && status != "()" {
                found.insert(status.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_decision_type_warns_if_it_is_unused() {
    let statuses = statuses();
    assert!(statuses.len() >= 4 && statuses.contains("NetworkFilterStatus"), "{statuses:?}");
    let sources = all();
    let names = statuses.iter().map(String::as_str).chain(OTHERS).chain(CALLOUTS);
    for name in names {
        let is_marked = |code: &str| {
            ["enum", "struct"].iter().any(|kind| {
                let start = format!("pub {kind} {name}");
                code.split(&start).skip(1).zip(code.split(&start)).any(|(after, before)| {
                    let is_whole = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                    is_whole && attributes.contains("#[must_use = \"")
                })
            })
        };
        assert!(sources.iter().any(|(_, code)| is_marked(code)), "`{name}` has no `#[must_use = …]`");
    }
}

#[test]
fn every_function_that_returns_a_decision_is_shown_to_warn() {
    let statuses = statuses();
    let shown = fs::read_to_string(source().join("../tests/ui/unused_decisions.rs")).unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for (path, code) in all() {
        let own = ["local_reply.rs"].iter().any(|name| path.ends_with(name)) || path.ends_with("error/mod.rs");
        for (name, output) in functions(&code, "pub fn ").chain(functions(&code, "pub const fn ")) {
            let words: Vec<_> = output.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').collect();
            let decides = |word: &&str| {
                statuses.contains(*word) || OTHERS.contains(word) || *word == PLACEHOLDER || own && *word == "Self"
            };
            // Callbacks themselves are called by hosts, and accessors return references.
            if name.starts_with("on_")
                || GENERATED.contains(&name)
                || output.contains('&')
                || !words.iter().any(decides)
            {
                continue;
            }
            count += 1;
            if !shown.contains(&format!("{name}(")) {
                missing.push(format!("{name} of {}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not in ui/unused_decisions.rs: {missing:#?}");
    assert!(count > 10, "{count}");
}

#[test]
fn every_line_of_the_example_warns() {
    let directory = source().join("../tests/ui");
    let shown = fs::read_to_string(directory.join("unused_decisions.rs")).unwrap();
    let golden = fs::read_to_string(directory.join("unused_decisions.stderr")).unwrap();
    for (number, line) in shown.lines().enumerate() {
        // The decisions are the statements in functions.
        let is_statement = line.starts_with("    ") && line.ends_with(';') && !line.trim_start().starts_with("type ");
        if is_statement {
            let place = format!("unused_decisions.rs:{}:", number + 1);
            assert!(golden.contains(&place), "no warning for line {}: {line}", number + 1);
        }
    }
}
