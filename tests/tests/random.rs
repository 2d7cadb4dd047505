//! Random bytes: their source in the three hosts, the maximum at once, and libraries that use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{Host, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[path = "../guests/examples/random.rs"]
mod guest;

#[proxy_filter_host::test(guest = "random", module = guest)]
fn bytes_of_every_number_are_filled(mut host: Host) {
    host.configure("").unwrap();
    for size in [0, 1, 7, 8, 65_535, 65_536, 65_537, 200_000] {
        let exchange = host.get(&format!("/{size}")).send();
        let line = format!("{size} bytes, 0 blocks of zeros, different numbers: true");
        assert_eq!((exchange.status(), exchange.messages()), (200, vec![line.as_str()]), "{exchange}");
    }
}

/// Returns the values that the upstream received.
fn shown(exchange: &Outcome) -> [String; 2] {
    let upstream = exchange.upstream().unwrap();
    ["x-sum", "x-number"].map(|name| upstream.header(name).unwrap().to_string())
}

#[proxy_filter_host::test(guest = "random", module = guest, embedded)]
fn a_seed_makes_the_same_bytes_natively_and_as_wasm(mut host: Host) {
    let mut show = |seed: Option<u64>| {
        if let Some(seed) = seed {
            host.random_seed(seed);
        }
        host.configure("").unwrap();
        [100, 70_000].map(|size| shown(&host.get(&format!("/show/{size}")).send())).concat()
    };
    let unseeded = show(None);
    assert_eq!(unseeded, UNSEEDED);
    assert_eq!(show(Some(0)), unseeded);
    let other = show(Some(1));
    assert!(other.iter().all(|text| !unseeded.contains(text)), "{other:?}");
    assert_eq!(show(Some(0)), unseeded, "a host that starts again begins again");
}

/// The values of the seed 0, which are the same natively and as wasm.
const UNSEEDED: [&str; 4] = ["4d4691c037901d2d", "516f790f3e9ec5ae", "e81be4a3b31621f9", "228633cf04f9bb3f"];

#[proxy_filter_host::test(guest = "random", embedded)]
fn each_vm_has_bytes_of_its_own(mut host: Host) {
    host.workers(2);
    host.configure("").unwrap();
    let [first, second] = [0, 1].map(|worker| shown(&host.get("/show/100").on_worker(worker).send()));
    assert!(first.iter().all(|text| !second.contains(text)), "{first:?} {second:?}");
}

/// Returns a module that calls `random_get` of this WASI module with a pointer and a size in its
/// configuration. The host refuses it unless the function returns this number. The module's
/// allocator also calls the function.
fn module(wasi: &str, pointer: u32, size: u32, error: u32) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "{wasi}" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 4)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "_initialize") (drop (call $random (i32.const 0) (i32.const 8))))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i64.ne (i64.load (i32.const 0)) (i64.const 0)))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (i32.eq (call $random (i32.const {pointer}) (i32.const {size})) (i32.const {error}))))"#
    );
    wat::parse_str(text).unwrap()
}

/// Pointers and sizes, and the results of `random_get`.
const ANSWERS: [(u32, u32, u32); 8] = [
    (0, 0, 0),
    (0, 65_536, 0),
    (0, 65_537, 28),
    (0, u32::MAX, 28),
    (3 * 65_536, 65_536, 0),
    (3 * 65_536 + 1, 65_536, 21),
    (4 * 65_536, 1, 21),
    (u32::MAX, 1, 21),
];

#[test]
fn the_host_function_returns_the_results_of_wasi() {
    for wasi in ["wasi_snapshot_preview1", "wasi_unstable"] {
        for (pointer, size, error) in ANSWERS {
            let mut host = Host::for_module(&module(wasi, pointer, size, error));
            host.configure("").unwrap_or_else(|refused| panic!("{wasi} {pointer} {size}: {refused}"));
        }
    }
    let refused = Host::for_module(&module("wasi_snapshot_preview2", 0, 0, 0)).configure("").unwrap_err();
    assert!(refused.to_string().contains("missing import: wasi_snapshot_preview2.random_get"), "{refused}");
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn in_envoy_the_host_function_returns_the_results_of_wasi() {
    let scratch = Scratch::new("random-get");
    for wasi in ["wasi_snapshot_preview1", "wasi_unstable"] {
        for (pointer, size, error) in ANSWERS {
            let file = scratch.0.join("module.wasm");
            fs::write(&file, module(wasi, pointer, size, error)).unwrap();
            let mut host = Host::in_envoy(&file).unwrap();
            host.configure("").unwrap_or_else(|refused| panic!("{wasi} {pointer} {size}: {refused}"));
        }
    }
}

/// A directory of this process, deleted on drop. It is outside of the repository, whose workspace
/// would otherwise include a package in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("proxy-filter-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the block after this one on the page of `proxy_filter::random`, without the comment
/// marks.
fn block(page: &str, after: &str) -> String {
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("no {after} in the page"));
    let (_, rest) = rest.split_once("//! ```toml\n").unwrap();
    let (block, _) = rest.split_once("//! ```\n").unwrap();
    block.split_inclusive('\n').map(|line| line.strip_prefix("//! ").unwrap_or("\n")).collect()
}

/// Builds a filter that uses `uuid` and `rand` as the page of `proxy_filter::random` shows.
fn identifiers(scratch: &Scratch) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(repository.join("sdk/src/host/random.rs")).unwrap();
    let dependencies = block(&page, "The filter's package needs the feature");
    let version = "proxy-filter = { version = \"0.1\",";
    assert!(dependencies.contains(version), "{dependencies}");
    let path = format!("proxy-filter = {{ path = \"{}\",", repository.join("sdk").display());
    let manifest = format!(
        "[package]\nname = \"identifiers\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n{}\n\
         [profile.release]\nopt-level = \"s\"\npanic = \"abort\"\nstrip = true\n",
        dependencies.replace(version, &path)
    );
    for (file, contents) in [
        ("Cargo.toml", manifest),
        (".cargo/config.toml", block(&page, "a line in its `.cargo/config.toml` that selects the backend")),
        ("src/lib.rs", fs::read_to_string(repository.join("tests/tests/support/identifiers.rs")).unwrap()),
    ] {
        let file = scratch.0.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, contents).unwrap();
    }
    // One directory for all runs, so that the dependencies are built once.
    let target = repository.join("target/identifiers");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown"])
        .arg("--target-dir")
        .arg(&target);
    let built =
        cargo.current_dir(&scratch.0).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("wasm32-unknown-unknown/release/identifiers.wasm")
}

/// Sends ten requests: each gets another identifier, and a number in the range.
fn plays_with_identifiers(mut host: Host) {
    host.configure("").unwrap();
    let mut identifiers = Vec::new();
    for _ in 0..10 {
        let exchange = host.get("/").send();
        let upstream = exchange.upstream().expect("the request arrives");
        let id = upstream.header("x-id").unwrap().to_string();
        assert!(id.len() == 36 && id.get(14..15) == Some("4"), "{id} is no UUID of version 4");
        let draw: u32 = upstream.header("x-draw").unwrap().to_string().parse().unwrap();
        assert!(draw < 1_000, "{draw}");
        identifiers.push(id);
    }
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 10);
}

#[test]
fn uuid_and_rand_work_as_documented_and_import_no_other_function() {
    let scratch = Scratch::new("identifiers");
    let module = fs::read(identifiers(&scratch)).unwrap();
    let report = proxy_filter_host::ModuleReport::read(&module).unwrap();
    let foreign: Vec<_> = report.imports.iter().filter(|import| !import.starts_with("env.proxy_")).collect();
    assert_eq!(foreign, ["wasi_snapshot_preview1.random_get"], "{report}");
    plays_with_identifiers(Host::for_module(&module));
}

#[test]
#[ignore = "needs a real Envoy: ENVOY=/path/to/envoy cargo test -- --include-ignored"]
fn in_envoy_uuid_and_rand_work_as_documented() {
    let scratch = Scratch::new("identifiers-in-envoy");
    plays_with_identifiers(Host::in_envoy(&identifiers(&scratch)).unwrap());
}
