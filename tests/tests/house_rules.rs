//! Rules of the source that no compiler checks: the layers of the SDK, and the places of unsafe
//! code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "support/source_graph.rs"]
mod source_graph;

use source_graph::SourceGraph;
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

/// Returns the code of a file without comments and unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The folders of the SDK from the bottom up: each imports only itself and those before it.
const LAYERS: [&str; 16] = [
    "abi", "sys", "current", "log", "error", "fields", "host", "engine", "callout", "http", "tcp", "plugin",
    "exchange", "future", "dispatch", "exports",
];

/// The files that export the public API of the layers, and a test of all of it.
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
            // Macros are in the crate's root for any file, and `$crate` is the author's crate.
            let is_macro = code[index + 7 + name.len()..].starts_with('!') || name.starts_with("__");
            if !is_macro && !code[..index].ends_with('$') {
                let other = layer(&name).unwrap_or_else(|| panic!("{file} names crate::{name}, which is in no layer"));
                assert!(other <= own, "{file} names crate::{name}, which is above it");
            }
        }
    }
}

/// The folders and files of the mock host from the bottom up.
const HOST_LAYERS: [&str; 38] = [
    "base64",
    "grpc",
    "not_played",
    "usage",
    "spent",
    "ignored",
    "violation",
    "guest",
    "host_profile",
    "engine",
    "profile",
    "message",
    "record",
    "blocks",
    "filter_error",
    "action",
    "foreign",
    "fixture",
    "string_match",
    "route",
    "tls",
    "tcp",
    "cluster",
    "backend",
    "trace",
    "embedded",
    "handles",
    "live",
    "envoy",
    "connection",
    "outcome",
    "fault",
    "form",
    "variation",
    "host",
    "compare",
    "metered",
    "run",
];

#[test]
fn dependencies_of_the_mock_host_point_one_way() {
    let graph = SourceGraph::read(&root().join("tests/src"));
    let layers = [&HOST_LAYERS[..], &["module", "schema", "lib"]].concat();
    assert_eq!(graph.upward(&layers), Vec::<String>::new());
}

#[test]
fn imports_that_point_up_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "pub struct A(crate::b::B);\n"), ("b.rs", "pub struct B;\n")];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let graph = SourceGraph::read(folder.path());
    assert_eq!(graph.upward(&["b", "a", "lib"]), Vec::<String>::new());
    assert_eq!(graph.upward(&["a", "b", "lib"]), ["a.rs imports b.rs, which is above it"]);
    assert_eq!(graph.upward(&["b", "lib"]), ["a.rs is in no layer"]);
}

/// The page that explains the layers, and the paths through them.
const ARCHITECTURE: &str = "docs/architecture.md";

fn architecture() -> String {
    fs::read_to_string(root().join(ARCHITECTURE)).unwrap_or_else(|error| panic!("{ARCHITECTURE}: {error}"))
}

/// Returns the text between backticks in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The source folders whose layers the page draws: the heading, the folder, and its layers.
const DRAWN: [(&str, &str, &[&str]); 2] = [
    ("\n## The layers of the SDK\n", "sdk/src", &LAYERS),
    ("\n## The layers of the mock host\n", "tests/src", &HOST_LAYERS),
];

/// The page before a section, the section, and what follows it.
fn split_section<'a>(page: &'a str, heading: &str) -> (&'a str, &'a str, &'a str) {
    let start = page.find(heading).unwrap_or_else(|| panic!("there is no{heading}")) + heading.len();
    let end = page[start..].find("\n## ").map_or(page.len(), |end| start + end);
    (&page[..start], &page[start..end], &page[end..])
}

#[test]
fn the_pictures_of_the_layers_are_made_from_their_imports() {
    for (heading, folder, layers) in DRAWN {
        let page = architecture();
        let (before, section, after) = split_section(&page, heading);
        let (text, rest) = section.split_once("```mermaid\n").unwrap();
        let (picture, rest) = rest.split_once("```").unwrap();
        let real = SourceGraph::read(&root().join(folder)).layers(layers);
        if std::env::var_os("BLESS").is_some() {
            let page = format!("{before}{text}```mermaid\n{real}```{rest}{after}");
            fs::write(root().join(ARCHITECTURE), page).unwrap();
        } else {
            assert_eq!(
                picture, real,
                "{ARCHITECTURE} is stale: BLESS=1 cargo test --package proxy-filter-host --test house_rules picture"
            );
        }
    }
}

#[test]
fn the_picture_omits_implied_arrows() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("a.rs", "pub struct A;\n"),
        ("b.rs", "pub struct B(crate::a::A);\n"),
        ("c.rs", "pub struct C(crate::a::A, crate::b::B);\n"),
        ("d.rs", "pub struct D(crate::a::A, crate::c::C);\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let graph = SourceGraph::read(folder.path());
    assert_eq!(graph.layers(&["a", "b", "c", "d"]), "graph TD\n    d --> c\n    c --> b\n    b --> a\n");
    assert_eq!(graph.layers(&["a", "c"]), "graph TD\n    c --> a\n", "files that are no layer are left out");
}

#[test]
fn the_architecture_has_a_row_for_each_layer_in_their_order() {
    let page = architecture();
    for (heading, _, layers) in DRAWN {
        let (_, section, _) = split_section(&page, heading);
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.collect::<Vec<_>>(), layers.iter().rev().copied().collect::<Vec<_>>(), "{heading}");
    }
}

#[test]
fn every_file_and_item_on_the_page_of_the_architecture_exists() {
    let (mut files, mut items) = (0, 0);
    let page = architecture();
    for line in page.lines() {
        for span in code_spans(line) {
            let is_path = span.contains('/') && span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path {
                assert!(root().join(span).exists(), "there is no {span}: {line}");
                files += 1;
            }
        }
        // A step of a path: its file, and its items, up to the colon.
        let is_step = line.split_once(". `").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if is_step {
            let (head, _) = line.split_once("`: ").unwrap_or_else(|| panic!("a step without a colon: {line}"));
            let head = format!("{head}`");
            let mut spans = code_spans(&head);
            let file = spans.next().unwrap();
            let code = code(&root().join(file));
            let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for item in spans {
                let name = item.rsplit("::").next().unwrap();
                assert!(words.contains(&name), "{file} has no {name}: {line}");
                items += 1;
            }
        }
    }
    assert!(files > 40 && items > 40, "the page names {files} files and {items} items: is it read right?");
}

/// Facts of a message, as fields of a struct would be named. `engine/message_state.rs` keeps them.
const FACTS_OF_A_MESSAGE: [&str; 8] =
    ["ended", "bodiless", "buffered", "held", "forwarded", "headers_paused", "length_removed", "trails"];

#[test]
fn the_state_of_a_message_has_no_second_record() {
    let sdk = root().join("sdk/src");
    let field = |code: &str, name: &str| {
        code.match_indices(&format!("{name}: Cell<"))
            .any(|(index, _)| !code[..index].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
    };
    assert!(
        field("struct Progress { ended: Cell<bool> }", "ended")
            && !field("struct A { has_ended: Cell<bool> }", "ended")
    );
    for layer in ["engine", "callout", "http", "exchange", "future", "dispatch", "exports"] {
        for path in sources(&sdk.join(layer)) {
            let code = code(&path);
            for fact in FACTS_OF_A_MESSAGE {
                assert!(!field(&code, fact), "{}: `{fact}` is in the state of a message already", path.display());
            }
            let states = code.matches("MessageState::new()").count();
            assert!(states == 0 || path.ends_with("engine/message_state.rs"), "{}: another state", path.display());
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
            // The macros write `#[unsafe(no_mangle)]` into generated code.
            let generated = code.matches("#[unsafe(no_mangle)]").count();
            let count = words.filter(|word| *word == "unsafe").count();
            // `macros` also reads the keyword in an author's code, in strings.
            let reads_keyword = code.matches("\"unsafe\"").count();
            // Not code, but a message to an author.
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

/// Source folders in which no two files, and no two folders, import each other.
const ONE_WAY: [&str; 5] = ["sdk/src", "macros/src", "tests/src", "cli/src", "bench/src"];

#[test]
fn no_two_files_import_each_other() {
    let mut report = String::new();
    for part in ONE_WAY {
        let graph = SourceGraph::read(&root().join(part));
        for circle in graph.circles().into_iter().chain(graph.circles_of_folders()) {
            report.extend(["\n", part, ": ", &circle.join(", "), "\n", &graph.imports_within(&circle)]);
        }
    }
    assert!(report.is_empty(), "these import each other:{report}");
}

/// Prints the figures and the picture of every source folder: `cargo test -p proxy-filter-host
/// --test house_rules figures -- --nocapture`.
#[test]
fn figures_of_the_source_folders_are_printed() {
    for part in ONE_WAY {
        let graph = SourceGraph::read(&root().join(part));
        println!("## {part}\n{}\n\n```mermaid\n{}```\n", graph.figures(), graph.mermaid());
        for circle in graph.circles().into_iter().chain(graph.circles_of_folders()) {
            println!("circle: {}\n{}", circle.join(", "), graph.imports_within(&circle));
        }
    }
}

/// The circles of a crate of these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    SourceGraph::read(folder.path()).circles()
}

const PAIR: [&str; 2] = ["a.rs", "b.rs"];

#[test]
fn circles_are_found_in_every_form_of_import() {
    let lib = "mod a;\nmod b;\npub use b::B as Renamed;\nmod face { pub use crate::b::*; }\n";
    let a = "pub struct A;\n";
    for b in [
        "use super::a::A;\npub struct B(A);",
        "use crate::a;\npub struct B(a::A);",
        "pub struct B(crate::a::A);",
        "pub struct B; fn f() { println!(\"{:?}\", crate::a::A); }",
        "pub struct B; mod inner { use super::super::a::A; }",
    ] {
        assert_eq!(circles_of(&[("lib.rs", lib), ("a.rs", a), ("b.rs", b)]).len(), 0, "one way: {b}");
        for use_of_b in ["use super::Renamed;", "use crate::face::B;", "use crate::{b::{self}}; fn f(_: b::B) {}"] {
            let a = format!("{a}{use_of_b}");
            assert_eq!(circles_of(&[("lib.rs", lib), ("a.rs", &a), ("b.rs", b)]), [PAIR], "{b}\n{use_of_b}");
        }
    }
}

#[test]
fn an_object_in_two_files_is_a_circle() {
    let spread = [
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "pub struct A;\n"),
        ("b.rs", "use super::a::A;\nimpl A { pub fn of_b(&self) {} }\n"),
    ];
    assert_eq!(circles_of(&spread), [PAIR]);
    let inside =
        |a| circles_of(&[("lib.rs", "mod a;\n"), ("a/mod.rs", a), ("a/b.rs", spread[2].1.replace("a::A", "A").leak())]);
    assert_eq!(inside("mod b;\npub struct A;\n").len(), 0);
    assert_eq!(inside("mod b;\npub struct A;\nfn f(a: &A) { a.of_b(); }\n"), [["a/b.rs", "a/mod.rs"]]);
    assert_eq!(inside("mod b;\npub struct A;\nfn f() { let _ = A::of_b; }\n"), [["a/b.rs", "a/mod.rs"]]);
}

#[test]
fn unit_tests_and_modules_themselves_are_no_imports() {
    let b = "use super::a::A;\npub struct B(A);";
    for a in [
        "pub struct A;\n#[cfg(test)]\nmod tests { use super::super::b::B; }\n",
        "pub struct A;\n#[cfg(test)]\nuse crate::b::B;\n",
        "pub struct A;\nuse super::b;\n",
        "pub struct A;\nfn f(value: &V) { value.b() }\n",
    ] {
        assert_eq!(circles_of(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", a), ("b.rs", b)]).len(), 0, "{a}");
    }
}

#[test]
fn the_repository_names_no_machine() {
    let manifest = root().join("Cargo.lock");
    let lock = fs::read_to_string(manifest).unwrap();
    assert!(!lock.contains("path+file"), "Cargo.lock names a path");
}

/// A package whose dev-dependency on itself lists its features: its tests have all of them.
#[test]
fn the_tests_of_the_sdk_and_of_the_kit_have_all_features() {
    for package in ["sdk", "kit"] {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let (_, features) = manifest.split_once("\n[features]\n").unwrap();
        let (features, _) = features.split_once("\n[").unwrap();
        let (_, tested) = manifest.split_once("{ path = \".\", features = [").unwrap();
        let (tested, _) = tested.split_once(']').unwrap();
        let names = features.lines().filter_map(|line| line.split_once(" = [")).map(|(name, _)| name);
        let standard = ["default", "panic-hook", "log-out-of-memory"];
        for name in names.filter(|name| !standard.contains(name)) {
            assert!(tested.contains(&format!("\"{name}\"")), "{package}: {name}");
        }
    }
}
