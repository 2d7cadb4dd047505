//! Everything that a reader copies works: the files of the examples, the code and the pictures of
//! the guide, and every command and path in a page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "support/example.rs"]
mod example;
#[path = "support/guide.rs"]
mod guide;
#[path = "support/sequence.rs"]
mod sequence;

use example::{bootstrap, examples, names_in, plugin, read, root};
use proxy_filter_host::{Host, build_guest};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A directory of this process, deleted on drop. It is outside of the repository, whose workspace
/// would otherwise include a package in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("proxy-filter-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn module_path(package: &str) -> String {
    format!("target/wasm32-unknown-unknown/release/{package}.wasm")
}

#[test]
fn every_example_has_a_readme_a_bootstrap_and_tests() {
    for example in examples() {
        let directory = root().join("examples").join(&example);
        for file in ["Cargo.toml", "README.md", "envoy.yaml", "demo.yaml", "src/lib.rs", "src/tests.rs"] {
            assert!(directory.join(file).is_file(), "{example} has no {file}");
        }
        assert!(
            read(&directory.join("src/tests.rs")).contains("#[proxy_filter_host::test]"),
            "{example} tests nothing"
        );
    }
}

/// They change with every commit: `cargo costs` prints them.
#[test]
fn no_readme_of_an_example_states_the_size_of_its_module() {
    // No module is smaller than the limits in pages.
    let is_size = |word: &str| word.contains(',') && word.bytes().filter(u8::is_ascii_digit).count() > 4;
    for example in examples() {
        let readme = read(&root().join("examples").join(&example).join("README.md"));
        let words: Vec<&str> = readme.split_whitespace().collect();
        let size = words.windows(2).find(|pair| is_size(pair[0]) && pair[1].starts_with("bytes"));
        assert_eq!(size, None, "{example}");
    }
}

#[test]
fn every_bootstrap_names_the_module_its_package_builds() {
    for example in examples() {
        let built = build_guest(&root(), &example, None).unwrap_or_else(|error| panic!("{error}"));
        let plugins = bootstrap(&example);
        assert_eq!(plugins[0].name, example);
        for plugin in plugins {
            assert!(plugin.name.starts_with(&example), "{}", plugin.name);
            assert_eq!(plugin.filename, module_path(&example));
            assert!(plugin.filename.ends_with(built.file_name().unwrap().to_str().unwrap()), "{}", built.display());
        }
    }
}

#[test]
fn every_configuration_is_accepted_by_its_filter() {
    for example in examples() {
        let module = fs::read(build_guest(&root(), &example, None).unwrap()).unwrap();
        for plugin in bootstrap(&example) {
            let mut host = Host::for_module(&module);
            host.root_id(&plugin.root_id);
            let configured = host.configure(plugin.configuration);
            configured.unwrap_or_else(|refused| panic!("{}: {refused}", plugin.name));
        }
    }
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn envoy_accepts_every_bootstrap() {
    let envoy = PathBuf::from(std::env::var_os("ENVOY").expect("ENVOY names an Envoy"));
    // A name is looked up in PATH. A path is relative to the test's directory, which differs from
    // Envoy's.
    let envoy = if envoy.components().count() > 1 { std::path::absolute(envoy).unwrap() } else { envoy };
    for example in examples() {
        // Paths in a bootstrap are relative to Envoy's directory. The modules may be in another
        // target directory than the repository's.
        let scratch = Scratch::new(&example);
        scratch.write(&module_path(&example), fs::read(build_guest(&root(), &example, None).unwrap()).unwrap());
        let log = scratch.0.join("log");
        let mut child = Command::new(&envoy)
            .args(["--mode", "validate", "--disable-hot-restart", "-c"])
            .arg(root().join("examples").join(&example).join("envoy.yaml"))
            .current_dir(&scratch.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let limit = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < limit => thread::sleep(Duration::from_millis(20)),
                None => {
                    child.kill().unwrap();
                    break child.wait().unwrap();
                }
            }
        };
        assert!(status.success(), "{example}: {status}\n{}", read(&log));
    }
}

/// The page with a complete filter.
fn first_filter() -> String {
    read(&root().join("docs/guide/src/first-filter.md"))
}

/// Returns the block after a line with the file's name, as in the guide: `` `src/lib.rs`: ``.
fn file_in_page(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("\n`{name}`:\n")).unwrap_or_else(|| panic!("no {name} in the page"));
    let (fence, rest) = rest.trim_start().split_once('\n').unwrap();
    assert!(fence.starts_with("```"), "{name} is followed by {fence}");
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_first_filter_of_the_guide_is_a_package_outside_of_this_repository_and_passes_its_tests() {
    let page = first_filter();
    let scratch = Scratch::new("guide");
    for name in ["Cargo.toml", "src/lib.rs", "src/tests.rs"] {
        scratch.write(name, file_in_page(&page, name));
    }
    // The packages are those of this repository, with the versions of its lock file.
    let package = |name: &str, directory: &str| format!("{name} = {{ path = {:?} }}\n", root().join(directory));
    let ours = [
        package("proxy-filter", "sdk"),
        package("proxy-filter-macros", "macros"),
        package("proxy-filter-host", "tests"),
    ];
    // The same profile as this workspace, so that the dependencies are already built.
    let manifest = read(&root().join("Cargo.toml"));
    let profiles = manifest.split("\n\n").filter(|part| part.lines().any(|line| line.starts_with("[profile.dev")));
    let profiles = profiles.collect::<Vec<_>>().join("\n");
    let net = "[net]\noffline = true\n";
    scratch.write(".cargo/config.toml", format!("{net}{profiles}\n[patch.crates-io]\n{}", ours.concat()));
    scratch.write("Cargo.lock", read(&root().join("Cargo.lock")));
    let output = Command::new(env!("CARGO"))
        .arg("test")
        .current_dir(&scratch.0)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(!err.contains("warning: `guard`"), "the compiler warns:\n{err}");
    for test in file_in_page(&page, "src/tests.rs").split("\nfn ").skip(1) {
        let name = test.split('(').next().unwrap();
        for host in ["native", "wasm"] {
            assert!(out.contains(&format!("test tests::{name}::{host} ... ok")), "{name}::{host}:\n{out}");
        }
    }
    let snippet = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let plugin = plugin(&Yaml::load_from_str(snippet).unwrap()[0][0]);
    assert_eq!((plugin.name.as_str(), plugin.filename), ("guard", module_path("guard")));
    let module = build_guest(&root(), "http_config", None).unwrap().with_file_name("guard.wasm");
    Host::for_module(&fs::read(module).unwrap()).configure(plugin.configuration).unwrap();
}

#[test]
fn the_filter_as_one_function_in_the_guide_is_the_bench_filter() {
    let source = read(&root().join("bench/filters/ours/examples/auth_async.rs"));
    let (_, code) = source.split_once("\n\n").unwrap();
    assert!(read(&root().join("docs/guide/src/concepts/async.md")).contains(&format!("```rust\n{code}# fn main")));
}

#[test]
fn the_costs_on_their_page_are_the_recorded_ones() {
    let page = read(&root().join("docs/performance.md"));
    let recorded: Value = serde_json::from_str(&read(&root().join("bench/costs.json"))).unwrap();
    for (filter, profiles) in recorded["filters"].as_object().unwrap() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{filter}`: "))).unwrap();
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace(',', "")).collect();
        // Each figure is followed by that of the peer.
        for (at, figure) in [(2, "bytes"), (4, "imports"), (6, "callbacks"), (8, "instructions")] {
            let figure = &profiles["workspace"][figure];
            assert_eq!(cells[at], figure.to_string(), "{row}");
        }
    }
}

#[test]
fn the_costs_in_the_readme_are_those_of_the_page_about_costs() {
    let page = read(&root().join("docs/performance.md"));
    let readme = read(&root().join("README.md"));
    let (_, table) = readme.split_once("\n## Costs\n").unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut seen = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let cell = |figure: &&str| format!("| {figure} |");
        let is_there = page.lines().any(|line| cells[1..].iter().all(|figure| line.contains(&cell(figure))));
        assert!(is_there, "docs/performance.md has no row with these figures: {row}");
        seen += 1;
    }
    assert!(seen > 3, "{seen} rows");
}

#[test]
fn the_guide_shows_the_release_profile_of_this_repository() {
    let settings = |text: &str| -> Vec<String> {
        let (_, profile) = text.split_once("[profile.release]\n").unwrap();
        let lines = profile.lines().take_while(|line| !line.is_empty() && !line.starts_with("```"));
        lines.map(|line| line.split('#').next().unwrap().trim().to_owned()).collect()
    };
    let ours = settings(&read(&root().join("Cargo.toml")));
    assert_eq!(settings(&file_in_page(&first_filter(), "Cargo.toml")), ours);
    let page = read(&root().join("sdk/src/lib.rs")).replace("//! ", "");
    assert_eq!(settings(&page), ours, "the crate page");
}

#[test]
fn every_feature_is_on_the_crate_page() {
    let manifest = read(&root().join("sdk/Cargo.toml"));
    let (_, features) = manifest.split_once("[features]\n").unwrap();
    let names = features.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let page = read(&root().join("sdk/src/lib.rs"));
    for (name, _) in names.filter(|(name, _)| *name != "default") {
        assert!(page.contains(&format!("//! | `{name}` |")), "{name}");
    }
}

/// Returns every page for readers.
fn pages() -> Vec<PathBuf> {
    let documents = names_in(&root().join("docs")).into_iter().filter(|name| name.contains('.'));
    let documents = documents.map(|name| root().join("docs").join(name));
    let guide = guide::pages().into_iter().map(|name| root().join("docs/guide/src").join(name));
    let examples = examples().into_iter().map(|example| root().join("examples").join(example).join("README.md"));
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    top.into_iter().chain(documents).chain(guide).chain(examples).collect()
}

#[test]
fn every_link_to_a_file_has_its_file() {
    for page in pages() {
        for link in read(&page).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.starts_with("https://") {
                continue;
            }
            assert!(page.parent().unwrap().join(target).exists(), "{} links to {target}", page.display());
        }
    }
}

/// Returns the commands of a page: the lines of its `sh` blocks, those after `$ ` in its `console`
/// blocks, and code that starts with `cargo ` in a line of text.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        let (language, body) = part.split_once('\n').unwrap_or(("", part));
        match (index % 2, language) {
            (1, "sh") => commands.extend(body.lines().map(str::to_owned)),
            (1, "console") => {
                commands.extend(body.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned));
            }
            (0, _) => {
                let code = part.split('`').skip(1).step_by(2);
                commands.extend(code.filter(|code| code.starts_with("cargo ")).map(str::to_owned));
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_in_a_page_exists() {
    let aliases = read(&root().join(".cargo/config.toml"));
    let packages: Vec<String> = ["sdk", "macros", "tests", "cli", "bench", "kit", "xtask"]
        .map(|directory| read(&root().join(directory).join("Cargo.toml")))
        .iter()
        .map(|manifest| manifest.split('"').nth(1).unwrap().to_owned())
        .chain(examples())
        .collect();
    let mut seen = 0;
    for page in pages() {
        for command in commands(&read(&page)) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let assignments = words.iter().take_while(|word| word.contains('=') && !word.starts_with('-')).count();
            // `ENVOY=$(a command with words) cargo test` is one assignment.
            let words = match command.rsplit_once(") ") {
                Some((_, rest)) => rest.split_whitespace().collect(),
                None => words[assignments..].to_vec(),
            };
            let context = format!("{}: {command}", page.display());
            let after = |flags: &[&str]| {
                let at = words.iter().position(|word| flags.contains(word))?;
                words.get(at + 1).copied()
            };
            match words.as_slice() {
                ["cargo", "build" | "test" | "doc" | "clippy" | "install" | "package" | "publish", ..] => {
                    if let Some(package) = after(&["--package", "-p"]) {
                        assert!(packages.iter().any(|known| known == package), "{context}: no package {package}");
                    }
                }
                ["cargo", alias, rest @ ..] if *alias != "+nightly" => {
                    assert!(aliases.contains(&format!("\n{alias} = ")), "{context}: no command `cargo {alias}`");
                    if let Some(example) = rest.first().filter(|word| !word.starts_with('-')) {
                        assert!(examples().iter().any(|known| known == example), "{context}: no example {example}");
                    }
                }
                ["envoy", ..] => {
                    let file = after(&["-c"]).unwrap_or_else(|| panic!("{context}: no -c"));
                    assert!(root().join(file).is_file(), "{context}: no file {file}");
                }
                // `cli/tests/pages.rs` runs `proxy-filter`.
                ["curl" | "echo" | "proxy-filter" | "pip" | "python3" | "rustup", ..] | ["cargo", "+nightly", ..] => {}
                _ => panic!("{context}: nobody knows this command"),
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} commands: this test reads pages that are not there");
}
