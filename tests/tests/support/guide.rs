//! The guide, `docs/guide`: its pages, code, pictures and the filter that it ports.

use super::example::{examples, read, root};
use super::sequence;
use proxy_filter_host::{Event, Host, Outcome, Reply, build_guest};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the pages.
fn source() -> PathBuf {
    root().join("docs/guide/src")
}

/// The pages below a directory, as paths from [`source`].
pub(crate) fn pages() -> Vec<String> {
    fn below(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(source()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    below(&source(), &mut found);
    found.sort_unstable();
    found
}

fn page(name: &str) -> String {
    read(&source().join(name))
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = page("SUMMARY.md");
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut listed: Vec<String> = links.map(str::to_owned).collect();
    listed.push("SUMMARY.md".to_owned());
    listed.sort_unstable();
    assert_eq!(listed, pages());
}

#[test]
fn every_example_has_a_row_in_the_list_of_jobs() {
    let jobs = page("how-to/README.md");
    for example in examples() {
        let link = format!("[`{example}`](../../../../examples/{example})");
        let rows = jobs.lines().filter(|line| line.starts_with('|') && line.contains(&link)).count();
        assert_eq!(rows, 1, "docs/guide/src/how-to/README.md has {rows} rows with {link}");
    }
}

/// A block of code of a page: its language, the file that it is from if the page names one, and its
/// text.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

/// The blocks of a page. A line such as `` From `src/lib.rs`: `` before a block names its file.
fn blocks(page: &str) -> Vec<Block> {
    let parts: Vec<&str> = page.split("```").collect();
    let mut blocks = Vec::new();
    for pair in parts.chunks(2) {
        let [before, block] = pair else { continue };
        let (language, text) = block.split_once('\n').unwrap();
        let line = before.trim_end().lines().next_back().unwrap_or_default();
        let named = line.strip_suffix("`:").and_then(|line| line.rsplit('`').next());
        let file = named.filter(|name| name.contains('/') || name.contains('.'));
        blocks.push(Block { language: language.to_owned(), file: file.map(str::to_owned), text: text.to_owned() });
    }
    blocks
}

/// `tests/src/lib.rs` compiles blocks of the language `rust`. Others name the file that they are a
/// part of.
#[test]
fn code_that_no_test_compiles_is_a_part_of_a_file() {
    let (compiled, mut parts) = (read(&root().join("tests/src/lib.rs")), 0);
    let readme = ("README.md of the repository".to_owned(), read(&root().join("README.md")));
    // The test of the first filter builds its page.
    let pages = pages().into_iter().filter(|name| name != "first-filter.md");
    for (name, text) in pages.map(|name| (name.clone(), page(&name))).chain([readme]) {
        for block in blocks(&text) {
            match block.language.as_str() {
                "rust" => {
                    let included = format!("\"{}\"", name.trim_end_matches(".md"));
                    assert!(compiled.contains(&included), "tests/src/lib.rs does not compile {name}");
                }
                "rs" => {
                    let file = block.file.unwrap_or_else(|| panic!("{name}: no file before:\n{}", block.text));
                    let path = root().join(&file);
                    let found = path.is_file() && read(&path).contains(block.text.trim_end());
                    assert!(found, "{name}: {file} has no such lines:\n{}", block.text);
                    parts += 1;
                }
                "sh" | "console" | "text" | "toml" | "yaml" | "json" | "diff" => {}
                other => panic!("{name}: a block of the language {other:?}"),
            }
        }
    }
    assert!(parts > 10, "{parts} parts of files: this test reads pages that are not there");
}

/// Compares a file that is generated with the one in the repository, or writes it with `BLESS=1`.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is stale: BLESS=1 cargo test --package proxy-filter-host --test examples guide",
        path.display()
    );
}

fn module(package: &str, example: Option<&str>) -> Vec<u8> {
    fs::read(build_guest(&root(), package, example).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// The exchanges of the pictures: the file, its title, and what happened.
fn pictured() -> Vec<(&'static str, &'static str, Vec<Event>)> {
    let script = module("proxy-filter-guests", Some("script"));
    let events = |exchange: &Outcome| exchange.record().events.clone();
    let stream = {
        let mut host = Host::for_module(&script);
        host.upstream(|_| Reply::new(200).chunks(["one", "two"]).trailer("x-sum", "1"));
        let exchange = host.post("/").http2().chunks(["first", "second"]).trailer("x-sum", "1").send();
        events(&exchange)
    };
    let body = {
        let mut host = Host::for_module(&script);
        host.upstream(|_| Reply::new(200).chunks(["one", "two", "three"]));
        let exchange = host.get("/").http2().header("x-response-body", "log whole").send();
        assert_eq!(exchange.messages(), ["whole"], "{exchange}");
        events(&exchange)
    };
    let call = {
        let mut host = Host::for_module(&module("http_auth_callout", None));
        host.cluster("authz", |_| Reply::new(200));
        host.configure(r#"{"cluster": "authz"}"#).unwrap();
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        events(&exchange)
    };
    let reply = {
        let mut host = Host::for_module(&module("http_headers", None));
        events(&host.get("/hello").send())
    };
    let connection = {
        let mut host = Host::for_module(&module("proxy-filter-guests", Some("connections")));
        host.tcp();
        host.configure("").unwrap();
        let connection = host.connect().send("hello").upstream_answers(<[u8]>::to_vec).finish();
        connection.upstream_finishes().play().record().events.clone()
    };
    vec![
        ("stream", "The life of a stream", stream),
        ("body", "A body that is buffered until it is complete", body),
        ("callout", "A request that is paused for an HTTP call", call),
        ("local-reply", "A local reply", reply),
        ("connection", "The life of a connection", connection),
    ]
}

#[test]
fn the_pictures_are_drawn_from_exchanges_in_the_mock_host() {
    let all: String = pages().iter().map(|name| page(name)).collect();
    for (name, title, events) in pictured() {
        assert!(events.len() > 3, "{name}: {events:?}");
        golden(&source().join(format!("pictures/{name}.svg")), &sequence::svg(title, &events));
        assert!(all.contains(&format!("[{title}](../pictures/{name}.svg)")), "no page shows {name}.svg");
    }
}

/// The filter that the guide ports: on the peer, and on this SDK.
const PORTED: [&str; 2] = ["session_peer", "session"];

fn play(example: &str, exchange: impl Fn(&mut Host) -> Outcome) -> (Option<String>, Option<String>, u64) {
    let mut host = Host::for_module(&module("proxy-filter-guests", Some(example))).without_checks();
    host.cluster("sessions", |call| match call.header("x-session").unwrap_or_default().to_string().as_str() {
        "good" => Reply::new(200).header("x-user", "alice"),
        "down" => Reply::new(500),
        _ => Reply::new(404),
    });
    host.configure(r#"{"cluster": "sessions", "timeout_ms": 100}"#).unwrap();
    let exchange = exchange(&mut host);
    let show = |message: Option<&proxy_filter_host::Received>| message.map(|message| format!("{message:#?}"));
    let (client, upstream) = (show(Some(exchange.response())), show(exchange.upstream()));
    (client, upstream, host.metric("session_denied").unwrap_or_default())
}

#[test]
fn the_ported_filter_and_its_original_do_the_same() {
    type Send = fn(&mut Host) -> Outcome;
    let exchanges: [(Send, u64, bool); 5] = [
        (|host| host.get("/").send(), 1, false),
        (|host| host.get("/").header("x-session", "good").send(), 0, true),
        (|host| host.get("/").header("x-session", "bad").send(), 1, false),
        (|host| host.get("/").header("x-session", "down").send(), 1, false),
        (|host| host.post("/").header("x-session", "good").chunks(["a", "b"]).send(), 0, true),
    ];
    for (exchange, denied, forwarded) in exchanges {
        let [peer, ours] = PORTED.map(|example| play(example, exchange));
        assert_eq!(peer, ours);
        assert_eq!((ours.2, ours.1.is_some()), (denied, forwarded), "{ours:?}");
    }
    for example in PORTED {
        let mut host = Host::for_module(&module("proxy-filter-guests", Some(example))).without_checks();
        assert!(host.configure(r#"{"cluster": "sessions"}"#).is_err(), "{example}");
    }
}

/// The page has one `diff` block with the whole of both files.
#[test]
fn the_difference_on_the_page_leads_from_one_filter_to_the_other() {
    let files = PORTED.map(|name| root().join("tests/guests/examples").join(format!("{name}.rs")));
    let path = source().join("porting/a-filter.md");
    let text = read(&path);
    let (before, rest) = text.split_once("```diff\n").unwrap();
    let (block, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("BLESS").is_some() {
        let output = Command::new("diff").args(["-U", "1000"]).args(&files).output().unwrap();
        let block: String = String::from_utf8(output.stdout).unwrap().split_inclusive('\n').skip(3).collect();
        return golden(&path, &format!("{before}```diff\n{block}```\n{after}"));
    }
    let side = |other: char| {
        let lines = block.split_inclusive('\n').filter(|line| !line.starts_with(other));
        lines.filter_map(|line| line.get(1..)).collect::<String>()
    };
    let [peer, ours] = files.map(|file| read(&file));
    let how = "BLESS=1 cargo test --package proxy-filter-host --test examples guide";
    assert!(side('+') == peer && side('-') == ours, "docs/guide/src/porting/a-filter.md is stale: {how}");
}
