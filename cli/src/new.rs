//! `new`: creates a project that builds, tests and serves at once.

use crate::output::{Failure, NAME, Result, TITLE, paint, progress};
use clap::{Args, ValueEnum, ValueHint};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  proxy-filter new guard
  proxy-filter new guard --template auth
  proxy-filter new guard --template callout --sdk-path ~/src/proxy-filter

The same templates work with `cargo generate`: name the directory cli/templates of the repository.")]
pub(crate) struct Arguments {
    /// The name of the package, and of its directory.
    #[arg(value_hint = ValueHint::DirPath)]
    name: PathBuf,
    /// The kind of filter.
    #[arg(long, short, default_value = "headers")]
    template: Template,
    /// A clone of the repository to use, in place of the released version.
    #[arg(long, value_name = "PATH", env = "PROXY_FILTER_SDK", value_hint = ValueHint::DirPath)]
    sdk_path: Option<PathBuf>,
    /// Do not create a git repository.
    #[arg(long)]
    no_git: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// Adds a configured header to every response.
    Headers,
    /// Checks bearer tokens, and sends the user to the upstream.
    Auth,
    /// Replaces a text in response bodies.
    Body,
    /// Calls an authorization service, with callbacks.
    Callout,
    /// Calls an authorization service, in one async function.
    Async,
    /// Checks the first bytes of TCP connections.
    Tcp,
    /// Logs requests as JSON; not a filter.
    AccessLog,
}

/// A file of the project, and its text with placeholders.
type File = (&'static str, &'static str);

/// The files that all projects have.
const SHARED: &[File] = &[
    ("Cargo.toml", include_str!("../templates/Cargo.toml.liquid")),
    ("README.md", include_str!("../templates/README.md")),
    ("rust-toolchain.toml", include_str!("../templates/rust-toolchain.toml")),
    ("rustfmt.toml", include_str!("../templates/rustfmt.toml")),
    (".gitignore", include_str!("../templates/gitignore")),
    (".editorconfig", include_str!("../templates/.editorconfig")),
    (".cargo/config.toml", include_str!("../templates/.cargo/config.toml")),
    (".github/workflows/ci.yml", include_str!("../templates/.github/workflows/ci.yml")),
    (".vscode/settings.json", include_str!("../templates/.vscode/settings.json")),
    (".vscode/extensions.json", include_str!("../templates/.vscode/extensions.json")),
];

macro_rules! files_of {
    ($name:literal) => {
        [
            ("src/lib.rs", include_str!(concat!("../templates/filters/", $name, "/lib.rs"))),
            ("src/tests.rs", include_str!(concat!("../templates/filters/", $name, "/tests.rs"))),
            ("envoy.yaml", include_str!(concat!("../templates/filters/", $name, "/envoy.yaml"))),
            ("config.json", include_str!(concat!("../templates/filters/", $name, "/config.json"))),
        ]
    };
}

impl Template {
    const fn files(self) -> [File; 4] {
        match self {
            Self::Headers => files_of!("headers"),
            Self::Auth => files_of!("auth"),
            Self::Body => files_of!("body"),
            Self::Callout => files_of!("callout"),
            Self::Async => files_of!("async"),
            Self::Tcp => files_of!("tcp"),
            Self::AccessLog => files_of!("access-log"),
        }
    }
}

/// Returns the reason why cargo refuses a name, if it does.
fn refusal(name: &str) -> Option<&'static str> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins || !characters.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Some("a package's name begins with a letter, and has letters, digits, `-` and `_` only");
    }
    let reserved = ["proxy-filter", "proxy_filter", "test", "core", "std", "alloc", "proc-macro", "proc_macro", "self"];
    let keywords = [
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false", "fn",
        "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
        "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
    ];
    (reserved.contains(&name) || keywords.contains(&name)).then_some("the name is reserved")
}

/// Returns the placeholders and their values.
fn placeholders(name: &str, sdk: Option<&Path>) -> Result<[(&'static str, String); 4]> {
    let from = |part: &str| -> Result<String> {
        match sdk {
            None => Ok("version = \"0.1\"".to_owned()),
            Some(sdk) => {
                let path = sdk.join(part);
                let found =
                    path.canonicalize().ok().filter(|path| path.join("Cargo.toml").is_file()).ok_or_else(|| {
                        Failure::usage(format!(
                            "{} is not a clone of proxy-filter: it has no {part}/Cargo.toml",
                            sdk.display()
                        ))
                    })?;
                Ok(format!("path = {:?}", found.display().to_string()))
            }
        }
    };
    Ok([
        ("{{project-name}}", name.to_owned()),
        ("{{crate_name}}", name.replace('-', "_")),
        ("{{proxy_filter}}", from("sdk")?),
        ("{{proxy_filter_host}}", from("tests")?),
    ])
}

/// Creates the project.
pub(crate) fn run(arguments: &Arguments) -> Result {
    let directory = &arguments.name;
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(why) = refusal(&name) {
        return Err(Failure::usage(format!("`{name}`: {why}")));
    }
    if directory.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || directory.is_file() {
        return Err(Failure::work(format!("{} already exists: choose another name", directory.display())));
    }
    let placeholders = placeholders(&name, arguments.sdk_path.as_deref())?;
    for (path, text) in SHARED.iter().copied().chain(arguments.template.files()) {
        let path = directory.join(path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let filled = |text: String, (from, to): &(&str, String)| text.replace(from, to);
            std::fs::write(&path, placeholders.iter().fold(text.to_owned(), filled))
        });
        written.map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
    }
    if !arguments.no_git {
        git(directory);
    }
    progress("Created", format!("the filter {}", paint(NAME, &name)));
    let next = [
        (format!("cd {}", directory.display()), "go to the project"),
        ("cargo test".into(), "run its tests, natively and as wasm"),
        match arguments.template {
            Template::Tcp => ("proxy-filter run --config config.json --send 'PING 1'".into(), "run a connection"),
            _ => ("proxy-filter run --config config.json".into(), "run an exchange"),
        },
    ];
    anstream::println!("\n{}", paint(TITLE, "Next"));
    for (command, what) in next {
        anstream::println!("  {} {what}", paint(NAME, format!("{command:<46}")));
    }
    Ok(())
}

/// Creates a git repository, unless the project is within one or git is missing.
fn git(directory: &Path) {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(directory).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        git.status().is_ok_and(|status| status.success())
    };
    if !git(&["rev-parse", "--is-inside-work-tree"]) {
        git(&["init", "--quiet"]);
    }
}
