//! Builds the modules of other languages with the compilers of `target/toolchains`, which
//! `.ci/run tests` installs.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One build at a time: they share caches, and each uses all processors.
static BUILDING: Mutex<()> = Mutex::new(());

/// The repository. Tests of two of its packages build these modules.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sources(language: &str) -> PathBuf {
    repository().join("tests/modules").join(language)
}

/// Returns a tool of `target/toolchains`. A missing tool fails the test.
fn tool(path: &str) -> PathBuf {
    let tool = repository().join("target/toolchains").join(path);
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

pub(crate) fn c() -> PathBuf {
    zig("cc", "c", "filter.c", &[])
}

pub(crate) fn cpp() -> PathBuf {
    zig("c++", "cpp", "filter.cc", &["-fno-exceptions"])
}

pub(crate) fn go() -> PathBuf {
    let go = tool("python/go/bin/go");
    compile("go", |module| {
        let mut command = Command::new(&go);
        command.args(["build", "-buildmode=c-shared", "-o"]).arg(module).arg(".");
        command.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
        command.env("GOCACHE", tool("python").with_file_name("go-cache"));
        command
    })
}

pub(crate) fn assemblyscript() -> PathBuf {
    let compiler = tool("npm/node_modules/assemblyscript/bin/asc.js");
    compile("assemblyscript", |module| {
        let mut command = Command::new("node");
        command.arg(&compiler).args(["filter.ts", "--runtime", "incremental", "--use", "abort=filter/abort", "-O"]);
        command.arg("--outFile").arg(module);
        command
    })
}

pub(crate) fn rust() -> PathBuf {
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
