//! `proxy-filter check`: hosts, foreign imports, size, memory, and the configuration.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod common;

use common::{example, fails, ok, repository, run, stdout};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

/// What every module needs in order to load.
const LOADS: &str = r#"(func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)"#;

/// A module in a file of its own, which lives as long as the directory.
fn module(body: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made.wasm");
    std::fs::write(&path, wat::parse_str(format!("(module {body})")).unwrap()).unwrap();
    (directory, path)
}

/// The findings of a module, whatever the exit code is.
fn findings(path: &str) -> Value {
    let output = run(&["--json", "check", path]);
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn host<'a>(findings: &'a Value, name: &str) -> &'a Value {
    findings["hosts"].as_array().unwrap().iter().find(|host| host["host"] == name).unwrap()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn examples_load_in_every_envoy_and_their_functions_work() {
    for name in ["http_config", "http_auth_callout", "tcp_echo_guard", "metrics", "queue_aggregator"] {
        let findings = findings(&example(name));
        let envoys =
            ["1.36", "1.37", "1.38", "1.39", "1.40"].map(|version| host(&findings, &format!("Envoy {version}")));
        for envoy in envoys {
            assert_eq!(envoy["loads"], true, "{name}: {envoy:#}");
            assert_eq!(strings(&envoy["functions"]), strings(&findings["imports"]), "{name}");
            assert_eq!(strings(&envoy["never_called"]), Vec::<&str>::new(), "{name}");
        }
        let sections = findings["sections"].as_array().unwrap();
        let total: u64 = sections.iter().map(|section| section["bytes"].as_u64().unwrap()).sum();
        assert_eq!(total, findings["size"].as_u64().unwrap(), "{name}: the sections are the whole file");
        assert_eq!(findings["memory"]["stack"], 49_152, "{name}");
        assert_eq!(findings["advice"], Value::Array(Vec::new()), "{name}: {:#}", findings["advice"]);
    }
}

#[test]
fn hosts_differ_in_the_functions_and_callbacks_that_they_have() {
    let tcp = findings(&example("tcp_echo_guard"));
    assert!(strings(&host(&tcp, "Envoy 1.40")["callbacks"]).contains(&"proxy_on_downstream_data"));
    for name in ["nginx (ngx_wasm_module)", "Apache Traffic Server", "Google Service Extensions"] {
        assert!(strings(&host(&tcp, name)["never_called"]).contains(&"proxy_on_downstream_data"), "{name}");
    }
    let metrics = findings(&example("metrics"));
    let failing = host(&metrics, "Google Service Extensions")["failing"].as_array().unwrap();
    assert!(failing.iter().any(|failing| failing["function"] == "proxy_define_metric"), "{failing:?}");
    assert_eq!(host(&metrics, "Apache Traffic Server")["loads"], true);
}

#[test]
fn a_chosen_host_decides_the_exit_code() {
    let module = example("http_auth_callout");
    let text = ok(&["check", &module]);
    assert!(text.contains("nginx (ngx_wasm_module): does not load"), "{text}");
    let text = fails(1, &["check", &module, "--host", "nginx"]);
    assert!(text.contains("does not export proxy_on_vm_start") && !text.contains("Envoy 1.40"), "{text}");
    ok(&["check", &module, "--host", "envoy-1.40", "--host", "ats"]);
    fails(2, &["check", &module, "--host", "envoy-0.1"]);
}

/// An import that no host has, and words of its cause and its remedy.
const FOREIGN: [(&str, &str, &str, &str); 6] = [
    ("__wbindgen_placeholder__", "__wbg_now_0123", "wasm-bindgen", "cargo tree"),
    ("gojs", "runtime.wasmExit", "GOOS=js", "GOOS=wasip1"),
    ("wasi:io/streams@0.2.0", "read", "preview 2", "wasm32-wasip1"),
    ("env", "abort", "AssemblyScript", "--use abort"),
    ("env", "invoke_vi", "emscripten", "STANDALONE_WASM"),
    ("env", "my_library_call", "nothing defines", "link the library"),
];

#[test]
fn a_foreign_import_is_reported_with_its_cause_its_callers_and_the_remedy() {
    for (from, name, cause, remedy) in FOREIGN {
        let body = format!(
            "(import \"{from}\" \"{name}\" (func $imported)) {LOADS}
             (func $_ZN6chrono6offset5local3now17h0123456789abcdefE call $imported)"
        );
        let (_directory, path) = module(&body);
        let path = path.to_str().unwrap();
        let text = fails(1, &["check", path]);
        assert!(text.contains(&format!("missing import: {from}.{name}")), "{text}");
        let findings = findings(path);
        let foreign = &findings["foreign_imports"][0];
        assert_eq!(foreign["name"], format!("{from}.{name}"));
        assert!(foreign["cause"].as_str().unwrap().contains(cause), "{foreign:#}");
        assert!(foreign["remedy"].as_str().unwrap().contains(remedy), "{foreign:#}");
        assert_eq!(strings(&foreign["called_by"]), ["chrono"], "{name}");
        for host in findings["hosts"].as_array().unwrap() {
            assert_eq!(host["loads"], false, "{host:#}");
        }
    }
}

#[test]
fn functions_that_only_envoy_resolves_are_not_foreign() {
    let import = r#"(import "env" "envoy_resolve_dns" (func (param i32 i32 i32) (result i32)))"#;
    let (_directory, path) = module(&format!("{import} {LOADS}"));
    let findings = findings(path.to_str().unwrap());
    assert_eq!(host(&findings, "Envoy 1.40")["loads"], true, "{findings:#}");
    assert_eq!(host(&findings, "Apache Traffic Server")["loads"], false);
}

/// Modules that Envoy does not load, and its words.
const REFUSED: [(&str, &str); 4] = [
    ("", "Missing or unknown Proxy-Wasm ABI version"),
    (r#"(func (export "proxy_abi_version_0_2_1"))"#, "missing malloc function"),
    (
        r#"(func (export "proxy_abi_version_0_2_1")) (func (export "malloc") (param i32) (result i32) i32.const 0)
           (func (export "proxy_on_tick"))"#,
        "Bad function signature for: proxy_on_tick",
    ),
    (
        r#"(import "env" "proxy_log" (func)) (func (export "proxy_abi_version_0_2_1"))
           (func (export "malloc") (param i32) (result i32) i32.const 0)"#,
        "import type mismatch",
    ),
];

#[test]
fn a_module_that_envoy_does_not_load_fails_with_envoys_words() {
    for (body, words) in REFUSED {
        let (_directory, path) = module(body);
        let text = fails(1, &["check", path.to_str().unwrap()]);
        assert!(text.contains("1.40: does not load") && text.contains(words), "{body}: {text}");
    }
}

#[test]
fn a_stack_that_takes_most_of_the_memory_is_advised_against() {
    let stack = |size: u32, pages: u32| {
        module(&format!(
            "(memory (export \"memory\") {pages}) (global (mut i32) (i32.const {size})) \
             (data (i32.const {size}) \"some data\") {LOADS}"
        ))
    };
    let (_directory, path) = stack(1_048_576, 17);
    let large = findings(path.to_str().unwrap());
    assert_eq!(large["memory"], serde_json::json!({ "pages": 17, "most_pages": null, "stack": 1_048_576 }));
    let text = ok(&["check", path.to_str().unwrap()]);
    assert!(
        text.contains("17 pages that each VM begins with: 1 would do") && text.contains("zstack-size=49152"),
        "{text}"
    );
    let (_directory, path) = stack(49_152, 1);
    assert!(!ok(&["check", path.to_str().unwrap()]).contains("would do"));
}

#[test]
fn memory_beyond_a_hosts_limit_is_a_refusal() {
    let (_directory, path) = module(&format!("(memory (export \"memory\") 257) {LOADS}"));
    let text = fails(1, &["check", path.to_str().unwrap(), "--host", "google"]);
    assert!(text.contains("the memory begins with 16 MiB, and the host has 16 MiB"), "{text}");
    ok(&["check", path.to_str().unwrap()]);
}

#[test]
fn the_configuration_is_validated_by_the_module() {
    let module = example("http_config");
    let good = ok(&["check", &module, "--config", r#"{"headers": []}"#]);
    assert!(good.contains("accepts the configuration"), "{good}");
    let bad = fails(1, &["check", &module, "--config", r#"{"headers": 1}"#]);
    assert!(bad.contains("refuses the configuration") && bad.contains("expected a sequence"), "{bad}");
}

#[test]
fn a_package_is_built_with_names_and_its_crates_are_weighed() {
    let package = repository().join("examples/http_config");
    let text = ok(&["check", package.to_str().unwrap(), "--crates", "--json"]);
    let findings: Value = serde_json::from_str(&text).unwrap();
    let crates = findings["crates"].as_array().unwrap();
    for name in ["proxy_filter", "http_config", "core"] {
        assert!(crates.iter().any(|found| found["name"] == name), "{name}: {crates:#?}");
    }
    assert_eq!(findings["sections"].as_array().unwrap().iter().filter(|section| section["name"] == "names").count(), 0);
}

#[test]
fn a_package_without_the_settings_of_small_modules_is_advised() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("src")).unwrap();
    let manifest = "[package]\nname = \"bare\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
                    [profile.release]\nlto = true\n[workspace]\n";
    std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn proxy_abi_version_0_2_1() {}\n\
                  #[unsafe(no_mangle)] pub extern \"C\" fn malloc(_size: usize) -> usize { 0 }\n";
    std::fs::write(directory.path().join("src/lib.rs"), source).unwrap();
    let text = ok(&["check", directory.path().to_str().unwrap()]);
    assert!(text.contains("lacks settings"), "{text}");
    assert!(text.contains("opt-level = \"s\", codegen-units = 1, strip = true"), "{text}");
    assert!(text.contains("16 pages that each VM begins with: 1 would do"), "{text}");
}
