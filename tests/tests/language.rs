//! The language of comments, pages and names of tests, as far as a test can check it: the width of
//! lines, the length of sentences in pages, dead links, and words that this repository does not
//! use. docs/architecture.md has the glossary.
//!
//! `cargo test --package proxy-filter-host --test language -- --nocapture` prints the numbers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The maximum width of comments, documentation and Markdown prose, in characters.
const WIDTH: usize = 100;

/// Files and folders whose prose is not yet rewritten. Remove an entry to switch the check on.
const PENDING: &[&str] = &["tests/guests"];

/// Phrases that this repository does not use, and what to write instead. An inner space matches a
/// line break too; `code` in backticks is not searched.
const PHRASES: &[(&str, &str)] = &[
    ("lets go", "forwards, or resumes"),
    ("let go", "forwarded, or resumed"),
    ("lets it go", "forwards it, or resumes it"),
    ("letting go", "forwarding, or resuming"),
    ("has gone on", "was forwarded"),
    ("have gone on", "were forwarded"),
    ("headers go on", "the headers are forwarded"),
    ("message goes on", "the message is forwarded"),
    ("stream goes on", "the stream is resumed"),
    ("body goes on", "the body is forwarded"),
    ("under way", "in flight, or pending"),
    ("in reach", "available"),
    ("looks again", "polls again"),
    ("look again", "poll again"),
    ("comes back to", "is polled again by"),
    ("is told", "is called, or is notified"),
    ("are told", "are called, or are notified"),
    ("gets to know", "is notified of"),
    ("who waits", "the pending callout, or the future that waits"),
    ("who asks", "the caller"),
    ("what comes back", "the response"),
    ("what comes then", "the completion"),
    ("what comes next", "the next chunk, or the next part"),
    ("somebody", "a named subject: another stream, the host, an operator"),
    ("nobody", "a named subject with \"no\": no future, no client"),
    ("is no crash", "does not trap"),
    ("trial VM", "canary VM"),
    ("piece of body", "chunk"),
    ("piece of the body", "chunk"),
    ("pieces of bodies", "chunks"),
    ("each piece", "each chunk"),
    ("piece by piece", "chunk by chunk"),
    ("answers the client", "sends a local reply"),
    ("client is answered", "the client gets a local reply"),
    ("asks a service", "calls a service"),
    ("is to be", "must be"),
    ("other streams do not notice", "other streams are unaffected"),
    ("everybody", "a named subject: every client, every stream"),
    ("anybody", "a named subject: any client"),
    ("shall", "must, or may"),
    ("what waits", "the pending callout, or the future"),
    ("has gone away", "has disconnected"),
    ("asked about", "called for, or sent to"),
];

/// Words that no name of a test has, in addition to [`PHRASES`], and what to write instead. A space
/// is an underscore of the name. `^` stands for its beginning, and `*` for the end of a word in
/// any form.
const NAMES: &[(&str, &str)] = &[
    ("let", "forward, allow, or resume"),
    ("lets", "forwards, allows, or resumes"),
    ("go on", "are forwarded, or continue"),
    ("goes on", "is forwarded, or continues"),
    ("went on", "was forwarded, or continued"),
    ("hold*", "pause, or buffer"),
    ("held", "paused, or buffered"),
    ("kept", "buffered, or stored"),
    ("passed", "forwarded"),
    ("piece*", "chunk"),
    ("the end", "the end of stream, or the end of a named thing"),
    ("is over", "has ended"),
    ("are over", "have ended"),
    ("tell*", "notify, or report"),
    ("told", "notified, or reported"),
    ("hear*", "is notified of, or receives"),
    ("ask*", "call, or request"),
    ("answer*", "response, completion, or local reply"),
    ("forget*", "cancel, or drop"),
    ("forgot*", "cancelled, or dropped"),
    ("leave*", "disconnect, cancel, or a verb with what is the same afterwards"),
    ("leaving", "disconnecting, or cancelling"),
    ("left", "disconnected, cancelled, omitted, or unchanged"),
    ("gone", "dropped, deleted, or disconnected"),
    ("die", "trap, or are cancelled"),
    ("dies", "traps, or is cancelled"),
    ("crash*", "trap"),
    ("calls back", "makes a reentrant call"),
    ("comes back", "is polled again, or returns"),
    ("is here", "is available"),
    ("is there", "is available, or exists"),
    ("are there", "are available, or exist"),
    ("who", "a named subject"),
    ("whom", "a named subject"),
    ("want*", "must, or may"),
    ("along", "cancels, or drops"),
    ("aside", "without a paused stream"),
    ("meanwhile", "during, with the event"),
    ("^what", "a named subject"),
    ("^whatever", "a named subject"),
    ("^it", "a named subject"),
    ("^so", "a fact that can be read without the name before it"),
    ("^or", "a fact that can be read without the name before it"),
    ("request waits", "the request is paused"),
    ("response waits", "the response is paused"),
    ("body waits", "the body is paused"),
    ("headers wait", "the headers are paused"),
    ("message waits", "the message is paused"),
    ("stream waits", "the stream is paused"),
    ("streams wait", "the streams are paused"),
    ("data waits", "the data is paused"),
    ("connection waits", "the connection is paused"),
];

/// Whether a file has this extension.
fn is_a(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, found);
            }
        } else if is_a(&name, "rs") || is_a(&name, "md") {
            found.push(path);
        }
    }
}

/// Consecutive lines of prose, with the number of the first one.
struct Paragraph {
    line: usize,
    lines: Vec<String>,
}

/// The comments of Rust code or the text of Markdown: no code blocks and no tables. A line keeps
/// its indentation and its comment marks, because they count for the width.
fn prose(text: &str, markdown: bool) -> Vec<Paragraph> {
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let comment = trimmed.starts_with("//");
        let content = if markdown { trimmed } else { trimmed.trim_start_matches(['/', '!']).trim_start() };
        if !markdown && !comment {
            fenced = false;
        }
        let fence = (markdown || comment) && content.starts_with("```");
        fenced ^= fence;
        if fenced || fence || !(markdown || comment) || content.is_empty() || content.starts_with('|') {
            open = false;
            continue;
        }
        if !open {
            paragraphs.push(Paragraph { line: index + 1, lines: Vec::new() });
        }
        open = true;
        if let Some(paragraph) = paragraphs.last_mut() {
            paragraph.lines.push(line.to_owned());
        }
    }
    paragraphs
}

/// The maximum number of words in a sentence of a page. CONTRIBUTING.md asks for 25. Code in backticks and
/// what follows a colon or a semicolon count separately.
const SENTENCE: usize = 27;

/// The sentences of a paragraph of Markdown that have more than [`SENTENCE`] words. A list item
/// begins a sentence.
fn long_sentences(paragraph: &Paragraph) -> Vec<String> {
    let mut text = String::new();
    for line in &paragraph.lines {
        let line = line.trim();
        let item = line.starts_with("- ") || line.starts_with("* ") || line.starts_with(|c: char| c.is_ascii_digit());
        text.push_str(if item { ". " } else { " " });
        text.push_str(line);
    }
    let text = text.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part } else { "code" });
    let text = text.collect::<String>();
    let mut sentences = Vec::new();
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        if word.contains(char::is_alphanumeric) {
            words.push(word);
        }
        let ends = word.trim_end_matches([')', '*', '"', ']']).ends_with(['.', '!', '?', ':', ';']);
        if ends {
            sentences.push(std::mem::take(&mut words));
        }
    }
    sentences.push(words);
    let long = sentences.into_iter().filter(|words| words.len() > SENTENCE);
    long.map(|words| words.join(" ")).collect()
}

/// The anchors of the headings in a page of Markdown, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let letters = heading.to_lowercase().replace(' ', "-");
        letters.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

/// The links `](target)` of a page to files and headings of this repository that do not exist.
fn dead_links(page: &Path, text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let is_dead = |target: &&str| {
        if target.contains("://") || target.starts_with("mailto:") || target.contains(' ') {
            return false;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { page.to_path_buf() } else { page.with_file_name("").join(file) };
        if !path.exists() {
            return true;
        }
        let is_page = !anchor.is_empty() && is_a(&path.to_string_lossy(), "md");
        is_page && !anchors(&fs::read_to_string(path).unwrap()).iter().any(|found| found == anchor)
    };
    targets.filter(is_dead).map(str::to_owned).collect()
}

/// A line that cannot be broken, such as a link, is not too wide.
fn is_too_wide(line: &str) -> bool {
    let words = line.split_whitespace().filter(|word| !matches!(*word, "//" | "///" | "//!" | "-" | "*"));
    line.chars().count() > WIDTH && words.count() > 1
}

/// The text in one line, in lower case, without comment marks and without code in backticks.
fn words(paragraph: &Paragraph) -> String {
    let lines = paragraph.lines.iter().map(|line| line.trim_start().trim_start_matches(['/', '!']));
    let text = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ").to_lowercase();
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// How often `phrase` is in `text` as whole words.
fn count(text: &str, phrase: &str) -> usize {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bounded = |(index, found): &(usize, &str)| {
        let (before, after) = text.split_at(*index);
        !is_word(before.chars().next_back()) && !is_word(after.chars().nth(found.chars().count()))
    };
    text.match_indices(phrase).filter(bounded).count()
}

/// The names of the tests in Rust code, with their lines: of each function after an attribute whose
/// path ends with `test`.
fn tests(text: &str) -> Vec<(usize, &str)> {
    let (mut names, mut is_test) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split([']', '(', '=']).next().unwrap_or_default().trim();
            is_test |= path.rsplit("::").next() == Some("test");
        } else if let Some((before, name)) = line.split_once("fn ") {
            let is_item = before.split_whitespace().all(|word| matches!(word, "pub" | "async" | "const"));
            if is_test && is_item {
                names.push((
                    index + 1,
                    name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
                ));
                is_test = false;
            }
        }
    }
    names
}

/// The phrases in a name of a test, and what to write instead.
fn phrases_in(name: &str) -> Vec<(&'static str, &'static str)> {
    let name = format!("_{name}_");
    let has = |phrase: &str| {
        let phrase = phrase.to_lowercase().replace(' ', "_");
        if let Some(first) = phrase.strip_prefix('^') {
            return name.starts_with(&format!("_{first}_"));
        }
        let end = if phrase.ends_with('*') { "" } else { "_" };
        let phrase = format!("_{}{end}", phrase.trim_end_matches('*'));
        name.match_indices(&phrase)
            .any(|(at, _)| phrase != "_the_end_" || !name[at + phrase.len()..].starts_with("of_"))
    };
    PHRASES.iter().chain(NAMES).filter(|(phrase, _)| has(phrase)).copied().collect()
}

#[test]
fn names_of_tests_are_written_in_the_words_of_the_glossary() {
    let root = root();
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let (mut faults, mut checked) = (Vec::new(), 0);
    for path in paths {
        let file = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if !is_a(&file, "rs") || PENDING.iter().any(|pending| file.starts_with(pending)) {
            continue;
        }
        for (line, name) in tests(&fs::read_to_string(&path).unwrap()) {
            checked += 1;
            for (phrase, instead) in phrases_in(name) {
                faults.push(format!("{file}:{line}: {name}: \"{phrase}\": write {instead}"));
            }
        }
    }
    println!("{checked} names of tests");
    assert!(checked > 1000, "{checked} names of tests");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_check_finds_names_of_tests_with_every_form_of_attribute() {
    let text = "#[test]\nfn a() {}\n  #[proxy_filter_host::test(guest = \"x\")]\n#[ignore = \"slow\"]\n// Why.\n\
                pub async fn b(x: fn()) {}\nfn c() {}\n#[cfg(test)]\nfn d() {}\n#[tokio::test]\nfn e() {}";
    assert_eq!(tests(text), [(2, "a"), (6, "b"), (11, "e")]);
}

#[test]
fn the_check_finds_phrases_in_names_as_whole_words() {
    let found = |name: &str| phrases_in(name).into_iter().map(|(phrase, _)| phrase).collect::<Vec<_>>();
    for (phrase, _) in PHRASES.iter().chain(NAMES) {
        let name = phrase.to_lowercase().trim_matches(['^', '*']).replace(' ', "_");
        let (first, inner) = (format!("{name}_stream"), format!("a_{name}_stream"));
        assert!(found(&first).contains(phrase), "{first}");
        assert_eq!(found(&inner).contains(phrase), !phrase.starts_with('^'), "{inner}");
        if !phrase.ends_with('*') {
            assert!(!found(&format!("a_{name}x")).contains(phrase), "{phrase}");
        }
        assert!(!found(&format!("a_x{name}")).contains(phrase), "{phrase}");
    }
    assert!(found("the_end_of_a_stream_cancels_its_calls").is_empty());
    assert_eq!(found("lines_are_read_before_the_end"), ["the end"]);
}

#[test]
fn comments_and_pages_are_written_in_the_language_of_this_repository() {
    let root = root();
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let (mut faults, mut wide, mut hits) = (Vec::new(), 0, vec![0; PHRASES.len()]);
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if name == "tests/tests/language.rs" {
            continue;
        }
        let pending = PENDING.iter().any(|pending| name.starts_with(pending));
        let (text, is_page) = (fs::read_to_string(&path).unwrap(), is_a(&name, "md"));
        if is_page {
            faults.extend(dead_links(&path, &text).iter().map(|link| format!("{name}: dead link: {link}")));
        }
        for paragraph in prose(&text, is_page) {
            if is_page && name != "CHANGELOG.md" && !pending {
                let long = long_sentences(&paragraph);
                faults.extend(long.iter().map(|found| format!("{name}:{}: long sentence: {found}", paragraph.line)));
            }
            for (index, line) in paragraph.lines.iter().enumerate().filter(|(_, line)| is_too_wide(line)) {
                wide += 1;
                if !pending {
                    faults.push(format!("{name}:{}: wider than {WIDTH}: {}", paragraph.line + index, line.trim()));
                }
            }
            let text = words(&paragraph);
            for ((phrase, instead), hits) in PHRASES.iter().zip(&mut hits) {
                let found = count(&text, &phrase.to_lowercase());
                *hits += found;
                if found > 0 && !pending {
                    faults.push(format!("{name}:{}: \"{phrase}\": write {instead}", paragraph.line));
                }
            }
        }
    }
    println!("{wide} lines of prose are wider than {WIDTH} characters");
    for ((phrase, _), hits) in PHRASES.iter().zip(hits).filter(|(_, hits)| *hits > 0) {
        println!("{hits:4} × \"{phrase}\"");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_pending_path_exists() {
    for path in PENDING {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn the_check_finds_wide_lines_and_phrases_and_skips_code_and_tables() {
    let wide = format!("/// {}", "word ".repeat(25));
    let text = format!("{wide}\nlet x = 1; // {wide}\n/// | {wide} |\n/// ```\n{wide}\n/// ```\n");
    let paragraphs = prose(&text, false);
    let found: Vec<_> =
        paragraphs.iter().flat_map(|paragraph| &paragraph.lines).filter(|line| is_too_wide(line)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!is_too_wide(&format!("/// {}", "x".repeat(120))), "one word cannot be broken");
    let text = words(&prose("// A call is under\n// way, `under way` and Under way.", false)[0]);
    assert_eq!((count(&text, "under way"), count(&text, "nder way")), (2, 0), "{text}");
}

#[test]
fn the_check_finds_long_sentences_and_dead_links() {
    let page = |text: &str| Paragraph { line: 1, lines: text.lines().map(str::to_owned).collect() };
    let sentence = "word ".repeat(SENTENCE);
    assert!(long_sentences(&page(&format!("- {sentence}end.\n- {sentence}"))).len() == 1);
    assert!(long_sentences(&page(&format!("`{sentence}` {sentence}: and {sentence}"))).len() == 2);
    assert!(long_sentences(&page("One short sentence. Another one.")).is_empty());
    let readme = root().join("README.md");
    let text = "[a](docs/limits.md#of-envoy) [b](docs/none.md) [c](#no-heading) [d](https://none.invalid/)";
    assert_eq!(dead_links(&readme, text), ["docs/none.md", "#no-heading"]);
}
