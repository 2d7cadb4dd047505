//! A module imports and exports only the functions that its filter uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use proxy_filter_host::{ModuleReport, build_guest};
use std::path::Path;

/// The exports of every module: the ABI version, the allocator and the start.
const ALWAYS: [&str; 3] = ["_initialize", "proxy_abi_version_0_2_1", "proxy_on_memory_allocate"];

/// The callbacks of a context's life, which a filter without state does not export.
const LIFE: [&str; 2] = ["proxy_on_context_create", "proxy_on_delete"];

/// The callbacks in which a module that filters only requests refuses connections.
const REFUSES_CONNECTIONS: [&str; 2] = ["proxy_on_new_connection", "proxy_on_downstream_data"];

fn report(package: &str, guest: Option<&str>) -> ModuleReport {
    let path = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), package, guest).unwrap();
    ModuleReport::read(&std::fs::read(path).unwrap()).unwrap()
}

fn guest(name: &str) -> ModuleReport {
    report("proxy-filter-guests", Some(name))
}

fn exports(callbacks: &[&str]) -> Vec<String> {
    stateless_exports(&[&LIFE, callbacks].concat())
}

fn stateless_exports(callbacks: &[&str]) -> Vec<String> {
    let has = |parts: [&str; 2]| callbacks.iter().any(|name| parts.iter().any(|part| name.contains(part)));
    let filters_requests = has(["_on_request_", "_on_response_"]);
    let filters_connections = has(["_connection", "stream_data"]);
    let refuses: &[&str] = if filters_requests && !filters_connections { &REFUSES_CONNECTIONS } else { &[] };
    let mut exports: Vec<String> =
        ALWAYS.iter().chain(refuses).chain(callbacks).map(|name| (*name).to_owned()).collect();
    exports.sort_unstable();
    exports
}

fn imports(functions: &[&str]) -> Vec<String> {
    let mut imports: Vec<String> = functions.iter().map(|name| format!("env.{name}")).collect();
    imports.sort_unstable();
    imports
}

#[test]
fn a_filter_without_callbacks_imports_only_the_log_for_panics() {
    let report = guest("noop");
    assert_eq!(report.exports, stateless_exports(&[]), "{report}");
    assert_eq!(report.imports, imports(&["proxy_log"]), "{report}");
}

#[test]
fn one_response_header_takes_four_host_functions() {
    let report = guest("add_header");
    assert_eq!(report.exports, stateless_exports(&["proxy_on_response_headers"]), "{report}");
    let functions = ["proxy_add_header_map_value", "proxy_log", "proxy_send_local_response", "proxy_close_stream"];
    assert_eq!(report.imports, imports(&functions), "{report}");
}

#[test]
fn a_function_that_names_the_type_of_a_future_exports_only_its_callout() {
    let report = guest("named_future");
    let callbacks = ["proxy_on_request_headers", "proxy_on_http_call_response"];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
}

#[test]
fn a_filter_of_one_type_costs_what_its_form_with_a_root_costs() {
    let built = |guest| {
        let path = build_guest(Path::new(env!("CARGO_MANIFEST_DIR")), "proxy-filter-guests", Some(guest)).unwrap();
        std::fs::read(path).unwrap()
    };
    let [one, two] = ["one_type_stateless", "add_header"].map(built);
    let [one_report, two_report] = [&one, &two].map(|module| ModuleReport::read(module).unwrap());
    assert_eq!(one_report.exports, two_report.exports);
    assert_eq!(one_report.imports, two_report.imports);
    assert!(one.len() <= two.len(), "{} bytes, and {} with a root", one.len(), two.len());
}

#[test]
fn a_filter_of_one_type_exports_its_configuration_and_its_callbacks() {
    let report = guest("one_type");
    let callbacks = ["proxy_on_configure", "proxy_on_request_headers", "proxy_on_response_headers"];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
}

#[test]
fn random_bytes_take_one_function_of_wasi() {
    let report = guest("random");
    let foreign: Vec<_> = report.imports.iter().filter(|import| !import.starts_with("env.")).collect();
    assert_eq!(foreign, ["wasi_snapshot_preview1.random_get"], "{report}");
}

#[test]
fn a_filter_that_fails_open_does_not_import_functions_that_refuse_a_stream() {
    let report = guest("add_header_open");
    assert_eq!(report.imports, imports(&["proxy_add_header_map_value", "proxy_log"]), "{report}");
}

#[test]
fn a_filter_without_state_exports_only_what_it_implements() {
    let report = guest("stateless");
    let callbacks = [
        "proxy_on_request_headers",
        "proxy_on_request_trailers",
        "proxy_on_response_headers",
        "proxy_on_response_trailers",
        "proxy_on_log",
    ];
    assert_eq!(report.exports, stateless_exports(&callbacks), "{report}");
}

#[test]
fn a_filter_of_bodies_without_state_exports_on_delete_only_besides() {
    let report = report("proxy-filter-bench-ours", Some("ours_body_rewrite"));
    let callbacks =
        ["proxy_on_response_headers", "proxy_on_response_body", "proxy_on_response_trailers", "proxy_on_delete"];
    assert_eq!(report.exports, stateless_exports(&callbacks), "{report}");
}

#[test]
fn a_body_filter_exports_the_callbacks_in_which_a_body_can_end() {
    let report = report("http_body", None);
    let callbacks = [
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
        "proxy_on_response_trailers",
    ];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
    let functions = [
        "proxy_get_header_map_value",
        "proxy_get_header_map_pairs",
        "proxy_replace_header_map_value",
        "proxy_remove_header_map_value",
        "proxy_get_buffer_bytes",
        "proxy_set_buffer_bytes",
        "proxy_log",
        "proxy_send_local_response",
        "proxy_close_stream",
    ];
    assert_eq!(report.imports, imports(&functions), "{report}");
}

#[test]
fn a_filter_that_logs_imports_the_log_level() {
    let report = report("hello_world", None);
    assert_eq!(report.exports, exports(&["proxy_on_vm_start", "proxy_on_request_headers", "proxy_on_log"]), "{report}");
    let functions = [
        "proxy_get_header_map_value",
        "proxy_get_log_level",
        "proxy_log",
        "proxy_send_local_response",
        "proxy_close_stream",
    ];
    assert_eq!(report.imports, imports(&functions), "{report}");
}

#[test]
fn two_filters_in_one_module_export_the_union_and_read_the_root_id() {
    let report = guest("two_roots");
    let callbacks =
        ["proxy_on_vm_start", "proxy_on_configure", "proxy_on_request_headers", "proxy_on_response_headers"];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
    assert!(report.imports.contains(&"env.proxy_get_property".to_owned()), "{report}");
}

#[test]
fn metrics_and_the_clock_take_a_host_function_each_verb() {
    let report = report("metrics", None);
    assert_eq!(
        report.exports,
        exports(&["proxy_on_configure", "proxy_on_request_headers", "proxy_on_log"]),
        "{report}"
    );
    let functions = [
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_record_metric",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_value",
        "proxy_log",
    ];
    // Whether the optimiser can remove the reply varies.
    let found: Vec<_> =
        report.imports.iter().filter(|name| *name != "env.proxy_send_local_response").cloned().collect();
    assert_eq!(found, imports(&functions), "{report}");
}

#[test]
fn a_root_that_ticks_and_has_a_queue_exports_both_callbacks() {
    let report = guest("shared_state");
    for name in ["proxy_on_tick", "proxy_on_queue_ready"] {
        assert!(report.exports.contains(&name.to_owned()), "{report}");
    }
}

#[test]
fn a_filter_of_connections_imports_for_requests_only_the_functions_that_refuse_them() {
    let report = report("tcp_echo_guard", None);
    let callbacks = ["proxy_on_configure", "proxy_on_downstream_data", "proxy_on_request_headers"];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
    let functions = [
        "proxy_close_stream",
        "proxy_get_buffer_bytes",
        "proxy_get_log_level",
        "proxy_get_property",
        "proxy_log",
        "proxy_send_local_response",
    ];
    assert_eq!(report.imports, imports(&functions), "{report}");
}

#[test]
fn every_callback_of_a_connection_has_its_export() {
    let report = guest("connections");
    let callbacks = [
        "proxy_on_configure",
        "proxy_on_new_connection",
        "proxy_on_downstream_data",
        "proxy_on_downstream_connection_close",
        "proxy_on_upstream_data",
        "proxy_on_upstream_connection_close",
        "proxy_on_done",
        "proxy_on_log",
        "proxy_on_tick",
        "proxy_on_http_call_response",
        // This export refuses requests.
        "proxy_on_request_headers",
    ];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
}

#[test]
fn filters_of_requests_and_of_connections_in_one_module_export_the_union() {
    let report = guest("two_kinds");
    let callbacks = [
        "proxy_on_vm_start",
        "proxy_on_response_headers",
        "proxy_on_upstream_data",
        "proxy_on_log",
        // Each kind of filter refuses the streams of the other kind in their first callback.
        "proxy_on_request_headers",
        "proxy_on_new_connection",
    ];
    assert_eq!(report.exports, exports(&callbacks), "{report}");
}

#[test]
fn a_grpc_call_needs_two_exports_and_a_stream_four() {
    let calls = ["proxy_on_grpc_receive", "proxy_on_grpc_close"];
    let report = report("grpc_auth", None);
    assert_eq!(
        report.exports,
        exports(&[&calls[..], &["proxy_on_configure", "proxy_on_request_headers"]].concat()),
        "{report}"
    );
    for name in ["env.proxy_grpc_call", "env.proxy_grpc_cancel", "env.proxy_get_status"] {
        assert!(report.imports.contains(&name.to_owned()), "{report}");
    }
    assert!(!report.imports.contains(&"env.proxy_grpc_stream".to_owned()), "{report}");
    let report = guest("grpc");
    for name in
        ["proxy_on_grpc_receive_initial_metadata", "proxy_on_grpc_receive_trailing_metadata"].iter().chain(&calls)
    {
        assert!(report.exports.contains(&(*name).to_owned()), "{report}");
    }
}

/// The cells of the rows of a page's tables.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    page.lines().filter_map(|line| Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect()))
}

/// The bytes in a cell: `adds 1,234 bytes`, or `1,234`.
fn bytes(cell: &str) -> Option<usize> {
    let number = cell.trim_start_matches("adds ").split(' ').next()?;
    number.replace(',', "").parse().ok()
}

/// Whether a module adds the bytes that a page says. Other versions of Rust differ a little.
fn is_about(found: usize, expected: usize) -> bool {
    found.abs_diff(expected) <= expected / 5 + 1000
}

const CRATES: &str = include_str!("../../docs/crates.md");

#[test]
fn each_of_the_crates_in_the_documentation_has_a_module_with_its_features() {
    let manifest = include_str!("../crates/Cargo.toml");
    for row in rows(CRATES).filter(|row| row.len() == 4 && bytes(row[2]).is_some()) {
        let [name, entry] = [row[0], row[1]].map(|cell| cell.trim_matches('`'));
        assert!(manifest.contains(&format!("\n{name} = {entry}\n")), "{name} has other features: {entry}");
        assert!(manifest.contains(&format!("name = \"{}\"\n", name.replace('-', "_"))), "no module for {name}");
    }
    assert_eq!(rows(CRATES).filter(|row| row.len() == 4 && bytes(row[2]).is_some()).count(), 18);
}

#[test]
#[ignore = "builds twenty crates, which takes a minute"]
fn crates_of_the_documentation_load_or_do_not_and_add_the_bytes_that_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let arguments = ["build", "--release", "--quiet", "--locked", "--examples", "--features", "not", "--target"];
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crates");
    let status = std::process::Command::new(env!("CARGO"))
        .args(arguments)
        .arg("wasm32-unknown-unknown")
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(&directory)
        .status();
    assert!(status.unwrap().success(), "tests/crates does not build");
    let report = |name: &str| {
        let file = format!("wasm32-unknown-unknown/release/examples/{}.wasm", name.replace('-', "_"));
        ModuleReport::read(&std::fs::read(target.join(file)).unwrap()).unwrap()
    };
    let nothing = report("nothing").size;
    let mut wrong = Vec::new();
    for row in rows(CRATES) {
        let name = row[0].split_once('`').and_then(|(_, rest)| rest.split_once('`')).map_or("", |(name, _)| name);
        // The second table has the problem in the second column.
        let expected = if row.len() == 4 { bytes(row[2]) } else { bytes(row[1]) };
        if let Some(expected) = expected {
            let report = report(name);
            println!("{name}: {} bytes", report.size - nothing);
            if !is_about(report.size - nothing, expected) {
                wrong.push(format!("{name}: {} bytes, not {expected}", report.size - nothing));
            }
            assert_eq!((report.refusal, report.imports.len()), (None, 0), "{name}");
        }
    }
    assert_eq!(wrong, [""; 0]);
    let chrono = report("chrono");
    assert!(chrono.foreign.iter().any(|import| import.name.starts_with("__wbindgen_placeholder__")), "{chrono}");
    assert!(chrono.refusal.is_some());
}
