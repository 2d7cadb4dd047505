//! `docs/api.md` has a row for every host function and every callback, and its items exist. So do
//! the pages of the guide about other SDKs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "support/peer.rs"]
mod peer;

use std::fs;
use std::path::{Path, PathBuf};

macro_rules! names {
    ($($name:ident($($parameters:tt)*) -> ($($results:tt)*);)*) => {
        /// Generated from the list that the SDK and the embedded host use.
        const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];
    };
}
proxy_filter::__for_each_host_function!(names);

/// Columns of every table.
const COLUMNS: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts in quotes or backquotes.
fn quoted(text: &str, quote: char) -> Vec<&str> {
    text.split(quote).skip(1).step_by(2).collect()
}

/// The rows under a heading, including those of its subheadings.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, part) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no part `{heading}`"));
    let part = part.split("\n## ").next().unwrap();
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let rows = part.lines().filter(|line| line.starts_with('|')).map(cells);
    rows.filter(|row| !row[0].starts_with("---") && row[1] != "Rust").collect()
}

fn first_column(heading: &str) -> Vec<String> {
    let page = read("docs/api.md");
    rows(&page, heading).iter().flat_map(|row| quoted(row[0], '`')).map(str::to_owned).collect()
}

#[test]
fn every_row_fills_every_column() {
    let page = read("docs/api.md");
    for heading in ["The context API", "Host functions", "Callbacks"] {
        for row in rows(&page, heading) {
            assert_eq!(row.len(), COLUMNS, "{row:?}");
            assert!(row.iter().enumerate().all(|(index, cell)| index == 2 || !cell.is_empty()), "{row:?}");
        }
    }
}

#[test]
fn every_host_function_has_one_row_and_no_other_row_exists() {
    assert_eq!(first_column("Host functions"), FUNCTIONS);
}

/// The callbacks that the embedded host knows, from the table that checks the exports of a module.
/// They include those of modules made with the macros, from the table of the macros. The marker of
/// the ABI version is not a callback.
fn callbacks() -> Vec<String> {
    let host = read("tests/src/engine/abi.rs");
    let (_, table) =
        host.split_once("fn signature(export: &str, version: Version)").expect("the table of the embedded host");
    let table = table.split("\n}\n").next().unwrap();
    let macros = read("macros/src/exports.rs");
    let (_, exports) = macros.split_once("const EXPORTS: &[Export] = &[").expect("the table of the macros");
    let exports = exports.split("\n];\n").next().unwrap();
    let exported =
        quoted(exports, '"').into_iter().filter(|name| name.starts_with("proxy_on_") || name.starts_with("_i"));
    let mut names: Vec<String> = quoted(table, '"').into_iter().chain(exported).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 25, "{names:?}: this test reads tables that are not there");
    names
}

#[test]
fn every_callback_has_one_row_and_no_other_row_exists() {
    let mut rows = first_column("Callbacks");
    rows.sort();
    assert_eq!(rows, callbacks());
}

/// The sources of the SDK.
fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            let code = fs::read_to_string(&path).unwrap();
            let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            found.push((path.strip_prefix(root().join("sdk/src")).unwrap().to_path_buf(), code.join("\n")));
        }
    }
    found
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// Whether code has a function of this name.
fn has_function(code: &str, name: &str) -> bool {
    code.match_indices(&format!("fn {name}")).any(|(at, found)| {
        let after = code[at + found.len()..].chars().next();
        matches!(after, Some('(' | '<'))
    })
}

/// Whether code has a public function of this name outside of any type. It may also come from
/// `attributes!`, which has the names of a type and of the function that returns it.
fn has_free_function(code: &str, name: &str) -> bool {
    let generated = code.contains("\nattributes! {") && code.contains(&format!(", {name}, \"{name}\" {{\n"));
    let starts = ["\npub fn", "\npub const fn", "\npub async fn"].map(|start| format!("{start} {name}"));
    generated || starts.iter().any(|start| code.contains(&format!("{start}(")) || code.contains(&format!("{start}<")))
}

/// Whether a page, of the crate's root or of its prelude, makes a name public.
fn is_public(page: &str, name: &str) -> bool {
    let statements = page.split("\npub ").skip(1).filter_map(|rest| rest.split(';').next());
    let mut exports = statements.filter(|statement| statement.starts_with("use ") || statement.starts_with("mod "));
    // The names, not their paths.
    exports.any(|statement| statement.rsplit("::").next().is_some_and(|names| has_word(names, name)))
}

/// Looks an item up as a reader would: a module or a type of the crate's root or of its prelude,
/// what is in the module, and a method of a type.
fn exists(item: &str, sources: &[(PathBuf, String)]) -> Result<(), String> {
    let page = |name: &str| &sources.iter().find(|(path, _)| path == Path::new(name)).unwrap().1;
    let mut segments = item.split("::");
    let first = segments.next().unwrap();
    if !["lib.rs", "prelude.rs"].iter().any(|name| is_public(page(name), first)) {
        return Err(format!("`{first}` is public neither in sdk/src/lib.rs nor in the prelude"));
    }
    let is_module = |name: &str| sources.iter().any(|(_, code)| code.contains(&format!("\npub mod {name};")));
    let is_in = |path: &Path| path.with_extension("").iter().any(|part| part == first);
    let (mut within, mut owner): (Vec<_>, _) = if is_module(first) {
        (sources.iter().filter(|(path, _)| is_in(path)).collect(), None)
    } else {
        (sources.iter().collect(), Some(first))
    };
    for name in segments {
        if owner.is_some() {
            // A method, in a file that contains its type.
            within.retain(|(_, code)| has_word(code, owner.unwrap_or_default()));
            // Or a method from a macro with the function's name, or a value.
            let is_generated = |code: &str| code.contains(&format!("\n{name}! {{"));
            let values = [format!("    {name},\n"), format!("    {name} = "), format!("const {name}: ")];
            let is_value = |code: &str| values.iter().any(|value| code.contains(value));
            if !within.iter().any(|(_, code)| has_function(code, name) || is_generated(code) || is_value(code)) {
                return Err(format!("no function `{name}` where `{}` is", owner.unwrap_or_default()));
            }
        } else if name.starts_with(char::is_uppercase) {
            if !within.iter().any(|(_, code)| has_word(code, name)) {
                return Err(format!("no type `{name}` in `{first}`"));
            }
            owner = Some(name);
        } else if !within.iter().any(|(_, code)| has_free_function(code, name)) {
            return Err(format!("no function `{name}` in `{first}`"));
        }
    }
    Ok(())
}

/// Items of the Rust column that belong to the language or to another crate.
const OTHERS: [&str; 5] = ["Drop", "log", "Continue", "root_id", "proxy_on_memory_allocate"];

#[test]
fn every_item_in_the_table_exists() {
    let (page, sources) = (read("docs/api.md"), sources(&root().join("sdk/src")));
    let (mut seen, mut missing) = (0, Vec::new());
    for heading in ["The context API", "Host functions", "Callbacks"] {
        for row in rows(&page, heading) {
            let items = quoted(row[1], '`');
            assert!(!items.is_empty() || row[1].starts_with("none"), "{row:?}");
            for item in items.into_iter().filter(|item| !OTHERS.contains(item) && *item != "_initialize") {
                seen += 1;
                if let Err(why) = exists(item, &sources) {
                    missing.push(format!("{item}: {why}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(seen > 150, "{seen} items: this test reads a table that is not there");
}

#[test]
fn an_item_that_does_not_exist_is_detected() {
    let sources = sources(&root().join("sdk/src"));
    for item in [
        "Headers",
        "HeaderMap::put",
        "header_map::get",
        "shared_data::SharedCell::swap",
        "shared_data::Cell",
        "metric::Counter::reset",
        "metric::count",
        "HttpCall::timeou",
        "Table::insert",
        "NetworkFilterStatus::Closed",
    ] {
        exists(item, &sources).expect_err(item);
    }
}

#[test]
fn the_table_is_linked_from_the_readme_and_the_crate_page() {
    for page in ["README.md", "sdk/src/lib.rs"] {
        assert!(read(page).contains("docs/api.md"), "{page}");
    }
}

/// The pages for those who know another SDK, and the lists of its public items.
const PORTING: [(&str, &str); 3] = [
    ("docs/guide/src/porting/proxy-wasm.md", "docs/guide/peers/proxy-wasm.txt"),
    ("docs/guide/src/porting/cpp.md", "docs/guide/peers/cpp.txt"),
    ("docs/guide/src/porting/go.md", "docs/guide/peers/go.txt"),
];

/// The rows of the tables of items: those with `proxy-filter` as their second column.
fn porting_rows(page: &str) -> Vec<Vec<&str>> {
    let (_, table) = page.split_once("\n## Every item\n").expect("the part `Every item`");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|row| row[1] != "`proxy-filter`").collect()
}

#[test]
fn every_item_of_another_sdk_has_one_row_and_no_other_row_exists() {
    for (page, list) in PORTING {
        let (page, list) = (read(page), read(list));
        let mut named: Vec<&str> = porting_rows(&page).iter().flat_map(|row| quoted(row[0], '`')).collect();
        named.sort_unstable();
        let mut listed: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        listed.sort_unstable();
        let missing: Vec<_> = listed.iter().filter(|name| !named.contains(name)).collect();
        assert!(missing.is_empty(), "items without a row: {missing:?}");
        assert_eq!(named, listed);
        assert!(listed.len() > 100, "{} items", listed.len());
    }
}

#[test]
fn every_item_that_a_row_about_another_sdk_names_exists() {
    let sources = sources(&root().join("sdk/src"));
    for (name, _) in PORTING {
        let page = read(name);
        let mut missing = Vec::new();
        for row in porting_rows(&page) {
            let items = quoted(row[1], '`');
            assert!(!items.is_empty() || (row[1] == "none" && !row[2].is_empty()), "{name}: {row:?}");
            missing.extend(
                items
                    .into_iter()
                    .filter(|item| *item != "log")
                    .filter_map(|item| exists(item, &sources).err().map(|why| format!("{item}: {why}"))),
            );
        }
        assert!(missing.is_empty(), "{name}:\n{}", missing.join("\n"));
    }
}

#[test]
fn the_list_of_items_of_proxy_wasm_is_made_from_its_package() {
    let path = root().join(PORTING[0].1);
    let real = peer::list(&root());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &real).unwrap();
    }
    let how = "BLESS=1 cargo test --package proxy-filter-host --test api_table proxy_wasm";
    assert_eq!(fs::read_to_string(&path).unwrap(), real, "docs/guide/peers/proxy-wasm.txt is stale: {how}");
}
