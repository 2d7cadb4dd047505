//! Filters in C, C++, Go, `AssemblyScript` and Rust for WASI, built by the compilers of those
//! languages. `modules/README.md` describes them. They behave the same in a real Envoy and in the
//! embedded host.
//!
//! The compilers are those in `target/toolchains`, which `.ci/run tests` installs. Without them,
//! the tests with `--include-ignored` fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::Host;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One build at a time: they share caches, and each uses all processors.
static BUILDING: Mutex<()> = Mutex::new(());

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(language: &str) -> PathBuf {
    here().join("modules").join(language)
}

/// Returns a tool of `target/toolchains`. A missing tool fails the test.
fn tool(path: &str) -> PathBuf {
    let tool = here().parent().unwrap().join("target/toolchains").join(path);
    assert!(tool.exists(), "NOT RUN: there is no {}. `.ci/run tests` installs it", tool.display());
    tool
}

/// Runs a compiler, which writes a module.
fn compile(language: &str, build: impl FnOnce(&Path) -> Command) -> PathBuf {
    let _one = BUILDING.lock();
    let module = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("filter_{language}.wasm"));
    let mut command = build(&module);
    command.current_dir(sources(language));
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    module
}

fn zig(compiler: &str, language: &str, source: &str, flags: &[&str]) -> PathBuf {
    let packages = tool("python");
    compile(language, |module| {
        let mut command = Command::new("python3");
        command.args(["-m", "ziglang", compiler, "-target", "wasm32-wasi", "-mexec-model=reactor", "-Os"]);
        command.args(flags).arg("-o").arg(module).arg(source).env("PYTHONPATH", &packages);
        for cache in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
            command.env(cache, packages.with_file_name("zig-cache"));
        }
        command
    })
}

fn c() -> PathBuf {
    zig("cc", "c", "filter.c", &[])
}

fn cpp() -> PathBuf {
    zig("c++", "cpp", "filter.cc", &["-fno-exceptions"])
}

fn go() -> PathBuf {
    let go = tool("python/go/bin/go");
    compile("go", |module| {
        let mut command = Command::new(&go);
        command.args(["build", "-buildmode=c-shared", "-o"]).arg(module).arg(".");
        command.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
        command.env("GOCACHE", tool("python").with_file_name("go-cache"));
        command
    })
}

fn assemblyscript() -> PathBuf {
    let compiler = tool("npm/node_modules/assemblyscript/bin/asc.js");
    compile("assemblyscript", |module| {
        let mut command = Command::new("node");
        command.arg(&compiler).args(["filter.ts", "--runtime", "incremental", "--use", "abort=filter/abort", "-O"]);
        command.arg("--outFile").arg(module);
        command
    })
}

fn rust() -> PathBuf {
    const TARGET: &str = "wasm32-wasip1";
    let added = Command::new("rustup").args(["target", "add", TARGET]).output().unwrap();
    assert!(added.status.success(), "NOT RUN: rustup has no {TARGET}: {}", String::from_utf8_lossy(&added.stderr));
    compile("rust", |module| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["rustc", "--release", "--target", TARGET, "--package", "proxy-filter-wasi-guest", "--lib", "--"]);
        command.arg("--emit").arg(format!("link={}", module.display()));
        command
    })
}

/// Asserts the behaviour that all of the filters share.
fn greets(mut host: Host, language: &str) {
    host.environment_variable("GREETING", "hello");
    host.configure("blue").unwrap();
    let logs: Vec<_> =
        host.start_logs().iter().map(|line| format!("{}: {}", line.level.name(), line.message)).collect();
    assert_eq!(logs, [format!("info: {language} starts"), "info: configured with blue".into()]);

    let outcome = host.post("/").header("x-name", "Ada").body("12345").send();
    assert_eq!(outcome.status(), 200, "{outcome}");
    assert!(outcome.response().header("x-language").is_some_and(|value| value == language), "{outcome}");
    assert!(outcome.upstream().unwrap().header("x-greeting").is_some_and(|value| value == "hello Ada"), "{outcome}");
    assert_eq!(outcome.messages(), ["5 bytes", "0 bytes"], "{outcome}");
    assert_eq!(host.get("/").header("x-name", "Bob").send().status(), 200);
}

/// The specific failure of each language. The client gets a 503, and nothing else of the VM runs.
fn fails(mut host: Host, last_words: &str) {
    host.configure("blue").unwrap();
    let outcome = host.get("/fail").send();
    assert_eq!(outcome.status(), 503, "{outcome}");
    assert!(outcome.messages().iter().any(|line| line.contains(last_words)), "{outcome}");
    assert_eq!(host.get("/").send().status(), 503);
}

macro_rules! languages {
    ($($language:ident: $name:literal, $last_words:literal;)*) => {$(
        mod $language {
            use super::*;

            #[test]
            #[ignore = "needs the compilers of target/toolchains"]
            fn embedded() {
                let module = std::fs::read(super::$language()).unwrap();
                greets(Host::for_module(&module), $name);
                fails(Host::for_module(&module), $last_words);
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            #[ignore = "needs the compilers of target/toolchains"]
            fn wasmtime() {
                let module = std::fs::read(super::$language()).unwrap();
                let host = || Host::for_module_on(proxy_filter_host::Engine::Wasmtime, &module);
                greets(host(), $name);
                fails(host(), $last_words);
            }

            #[cfg(feature = "envoy")]
            #[test]
            #[ignore = "needs an Envoy, and the compilers of target/toolchains"]
            fn envoy() {
                use proxy_filter_host::{__private::module_in_envoy, Engine};
                let module = super::$language();
                module_in_envoy(Engine::default(), &module, |host| greets(host, $name));
                module_in_envoy(Engine::default(), &module, |host| fails(host, $last_words));
            }
        }
    )*};
}

languages! {
    rust: "Rust", "no way on";
    c: "C", "no way on";
    cpp: "C++", "no way on";
    go: "Go", "no way on";
    assemblyscript: "AssemblyScript", "abort: no way on";
}
