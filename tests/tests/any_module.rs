//! Modules of other origin, in the text format: which modules Envoy loads, how it runs them, and
//! which it refuses.
//!
//! Each test runs in the embedded host and in a real Envoy, which must agree.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[path = "any_module/guest.rs"]
mod guest;
#[path = "any_module/hosts.rs"]
mod hosts;

use proxy_filter_host::{Engine, Host};

const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const ALLOCATOR: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 4096))"#;
const MARKER: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;
const LOG: &str = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;

/// A callback of request headers with this body.
fn request_headers(body: &str) -> String {
    format!(r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body} (i32.const 0))"#)
}

/// A call that logs this many bytes of the memory, from this position.
fn log(place: u32, size: u32) -> String {
    format!("(drop (call $log (i32.const 2) (i32.const {place}) (i32.const {size})))")
}

/// A module with these fields. Imports must come first in a module, so they are separate.
fn module(imports: &str, fields: &str) -> String {
    format!("(module {imports} {fields})")
}

/// A module with a memory, an allocator and the marker, and a callback with this body.
fn filter(imports: &str, fields: &str, body: &str) -> String {
    module(imports, &[MEMORY, ALLOCATOR, MARKER, fields, &request_headers(body)].join(" "))
}

/// A function of WASI, or of another module than `env`.
fn import(module: &str, name: &str, parameters: &str, result: &str) -> String {
    format!(r#"(import "{module}" "{name}" (func ${name} (param {parameters}) {result}))"#)
}

fn bytes(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns the log lines of a request that the module forwards.
fn logs(mut host: Host) -> Vec<String> {
    host.vm_configuration("of the VM");
    host.environment_variable("COLOUR", "blue");
    host.configure("of the plugin").unwrap();
    let mut logs: Vec<_> = host.start_logs().into_iter().map(|line| line.message).collect();
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 200, "{exchange}");
    logs.extend(exchange.logs().iter().map(|line| line.message.clone()));
    logs
}

/// Returns the reason why the host does not load the module.
fn refusal(mut host: Host) -> String {
    host.configure("").unwrap_err().to_string()
}

/// Asserts that the module traps in a request, which gets a 503.
fn traps(mut host: Host) {
    host.configure("").unwrap();
    let exchange = host.get("/").send();
    assert_eq!(exchange.status(), 503, "{exchange}");
    exchange.expect_error("the VM trapped in proxy_on_request_headers");
}

/// Runs a body with the module in the embedded host, and in a real Envoy. `here` is the reason why
/// an engine cannot run it.
macro_rules! scenarios {
    ($($(#[$doc:meta])* $name:ident: $text:expr, $body:expr $(, wasmi: $why:literal)?;)*) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            #[test]
            fn wasmi() {
                let host = Host::for_module(&bytes(&$text));
                $(if true { return assert!(refusal(host).contains($why)); })?
                #[allow(unreachable_code, reason = "an engine that cannot play the module ends here")]
                run(host);
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            fn wasmtime() {
                run(Host::for_module_on(Engine::Wasmtime, &bytes(&$text)));
            }

            #[cfg(feature = "envoy")]
            #[test]
            #[ignore = "needs an Envoy"]
            fn envoy() {
                let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(stringify!($name), ".wasm"));
                std::fs::write(&path, bytes(&$text)).unwrap();
                let lacks: &[&str] = &[$($why)?];
                match engine(lacks.is_empty()) {
                    Some(engine) => proxy_filter_host::__private::module_in_envoy(engine, &path, run),
                    None => run(Host::in_envoy(&path).unwrap()),
                }
            }

            fn run(host: Host) {
                let body: fn(Host) = $body;
                body(host);
            }
        }
    )*};
}

/// Returns an engine that can run the module, if there is one.
#[cfg(feature = "envoy")]
fn engine(any: bool) -> Option<Engine> {
    #[cfg(feature = "wasmtime")]
    let other = Some(Engine::Wasmtime);
    #[cfg(not(feature = "wasmtime"))]
    let other = None;
    if any { Some(Engine::default()) } else { other }
}

/// A function that calls itself to this depth.
fn recursion(depth: u32) -> String {
    let function = "(func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))";
    filter("", function, &format!("(drop (call $deep (i32.const {depth})))"))
}

/// The same with sixteen values that are live at each level.
fn wide_recursion(depth: u32) -> String {
    let each = |text: fn(u32) -> String| (0..16).map(text).collect::<Vec<_>>().join(" ");
    let locals = each(|index| format!("(local $v{index} i64)"));
    let loads =
        each(|index| format!("(local.set $v{index} (i64.load (i32.add (local.get 0) (i32.const {}))))", index * 8));
    let sum = (0..16).fold("(i64.const 0)".to_owned(), |sum, index| format!("(i64.add {sum} (local.get $v{index}))"));
    let function = format!(
        "(func $deep (param i32) (result i64) {locals} {loads}
            (if (result i64) (local.get 0)
                (then (i64.add (call $deep (i32.sub (local.get 0) (i32.const 1))) {sum}))
                (else (i64.const 0))))"
    );
    filter("", &function, &format!("(drop (call $deep (i32.const {depth})))"))
}

const HELLO: &str = r#"(data (i32.const 8) "hello")"#;

/// The instructions and types of later proposals.
mod proposals {
    use super::*;

    scenarios! {
        simd: filter("", "", "(drop (i32x4.extract_lane 0 (i32x4.splat (i32.const 1))))"), |host| drop(logs(host));
        relaxed_simd: filter("", "", "(drop (i32x4.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 1)))))"),
            |host| drop(logs(host));
        bulk_memory: filter("", "", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 8))"), |host| drop(logs(host));
        reference_types: filter("", "(table $t 1 externref)", "(drop (table.size $t))"), |host| drop(logs(host));
        extended_constants: filter("", "(global i32 (i32.add (i32.const 1) (i32.const 2)))", ""), |host| drop(logs(host));
        multiple_values: filter("", "(func $two (result i32 i32) (i32.const 1) (i32.const 2))", "(call $two) drop drop"),
            |host| drop(logs(host));
        tail_calls: filter(
            "",
            "(func $down (param i32) (result i32)
                (if (result i32) (local.get 0) (then (return_call $down (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0))))",
            "(drop (call $down (i32.const 300000)))",
        ), |host| drop(logs(host));
        several_memories: module(LOG, &["(memory 1)", MEMORY, ALLOCATOR, MARKER, r#"(data (memory 1) (i32.const 8) "hello")"#,
            &request_headers(&log(8, 5))].join(" ")), |host| assert_eq!(logs(host), ["hello"]);
        memories_of_64_bits: module(LOG, &[r#"(memory (export "memory") i64 1) (data (i64.const 8) "hello")"#, ALLOCATOR, MARKER,
            &request_headers(&log(8, 5))].join(" ")), |host| assert_eq!(logs(host), ["hello"]);
        atomic_instructions: filter("", "", "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))"), |host| drop(logs(host)),
            wasmi: "it uses atomic instructions or shared memory";
        shared_memory: module(LOG, &[r#"(memory (export "memory") 1 1 shared)"#, HELLO, ALLOCATOR, MARKER,
            &request_headers(&format!("(drop (i32.atomic.load (i32.const 0))) {}", log(8, 5)))].join(" ")),
            |host| assert_eq!(logs(host), ["hello"]), wasmi: "it uses atomic instructions or shared memory";
        garbage_collection: filter("", "(type $box (struct (field i32))) (func $make (result (ref $box)) (struct.new $box (i32.const 1)))",
            "(drop (call $make))"), |host| drop(logs(host)), wasmi: "it uses garbage-collected types";
        exceptions: filter("", "(tag $oops) (func $fail (throw $oops))",
            "(block $caught (try_table (catch_all $caught) (call $fail)))"), |host| drop(logs(host)), wasmi: "it uses exceptions";
        pages_of_one_byte: module("", &[r#"(memory (export "memory") 8192 (pagesize 1))"#, ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("Failed to load Wasm bytecode"));
        a_module_that_is_invalid: filter("", "(func (result i32))", ""),
            |host| assert!(refusal(host).contains("Failed to load Wasm bytecode"));
    }
}

/// The memory that the host reads and writes.
mod memory {
    use super::*;

    scenarios! {
        with_another_name: module(LOG, &[r#"(memory (export "mem") 1)"#, HELLO, ALLOCATOR, MARKER, &request_headers(&log(8, 5))].join(" ")),
            |host| assert_eq!(logs(host), ["hello"]);
        the_last_exported_one_counts: module(LOG, &[
            r#"(memory (export "z") 1) (memory (export "a") 1) (data (memory 0) (i32.const 8) "first") (data (memory 1) (i32.const 8) "later")"#,
            ALLOCATOR, MARKER, &request_headers(&log(8, 5))].join(" ")), |host| assert_eq!(logs(host), ["later"]);
        imported: module(&format!(r#"{LOG} (import "any" "name" (memory 1))"#), &[HELLO, ALLOCATOR, MARKER, &request_headers(&log(8, 5))].join(" ")),
            |host| assert_eq!(logs(host), ["hello"]);
        imported_with_a_maximum: module(r#"(import "any" "name" (memory 1 3))"#, &[ALLOCATOR, MARKER,
            &request_headers("(if (i32.ne (memory.grow (i32.const 5)) (i32.const -1)) (then unreachable))")].join(" ")),
            |host| drop(logs(host));
        imported_twice: module(r#"(import "env" "a" (memory 1)) (import "env" "b" (memory 1))"#, &[ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("Failed to create new Wasm instance"));
        imported_and_shared: module(r#"(import "env" "memory" (memory 1 2 shared))"#, &[ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("Failed to create new Wasm instance"));
        none: module("", &[ALLOCATOR, MARKER].join(" ")), |host| drop(logs(host));
        larger_than_1_gib_at_its_beginning: module("", &[r#"(memory (export "memory") 20000)"#, ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("Failed to create new Wasm instance"));
        does_not_grow_beyond_1_gib: filter("", "", "(if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable))"), traps;
        grows_up_to_1_gib: filter("", "", "(if (i32.eq (memory.grow (i32.const 16383)) (i32.const -1)) (then unreachable))"),
            |host| drop(logs(host));
    }
}

/// The maximum depth of calls.
mod stack {
    use super::*;

    scenarios! {
        small_functions_to_a_depth_of_100_000: recursion(100_000), |host| drop(logs(host));
        small_functions_beyond: recursion(150_000), traps;
        functions_with_many_values_to_a_depth_of_5_000: wide_recursion(5_000), |host| drop(logs(host));
        functions_with_many_values_beyond: wide_recursion(20_000), traps;
    }
}

/// The functions that run before a context exists.
mod initialisation {
    use super::*;

    /// Exports that log their own name.
    fn exports(names: &[(&str, &str, &str)]) -> String {
        let mut fields = vec![MEMORY.to_owned(), ALLOCATOR.to_owned(), MARKER.to_owned()];
        for (index, (name, ty, result)) in (0_u32..).zip(names) {
            let place = 16 * (index + 1);
            let size = u32::try_from(name.len()).unwrap();
            fields.push(format!(
                r#"(data (i32.const {place}) "{name}") (func (export "{name}") {ty} {} {result})"#,
                log(place, size)
            ));
        }
        module(LOG, &fields.join(" "))
    }

    const INITIALIZE: (&str, &str, &str) = ("_initialize", "", "");
    const START: (&str, &str, &str) = ("_start", "", "");
    const MAIN: (&str, &str, &str) = ("main", "(param i32 i32) (result i32)", "(i32.const 7)");
    const MAIN_VOID: (&str, &str, &str) = ("__main_void", "(result i32)", "(i32.const 7)");

    scenarios! {
        main_runs_after_initialize: exports(&[MAIN, INITIALIZE]), |host| assert_eq!(logs(host), ["_initialize", "main"]);
        main_void_runs_after_initialize: exports(&[MAIN_VOID, INITIALIZE]), |host| {
            let runs = !host.behaves_as().differs_in("does not run after `_initialize`");
            assert_eq!(logs(host), &["_initialize", "__main_void"][..if runs { 2 } else { 1 }]);
        };
        initialize_and_main_come_before_all_others: exports(&[START, MAIN_VOID, MAIN, INITIALIZE]),
            |host| assert_eq!(logs(host), ["_initialize", "main"]);
        main_alone_does_not_run: exports(&[MAIN, MAIN_VOID]), |host| assert_eq!(logs(host), [""; 0]);
        start_runs_alone: exports(&[START, MAIN]), |host| assert_eq!(logs(host), ["_start"]);
        main_of_another_type: module("", &[MEMORY, ALLOCATOR, MARKER,
            r#"(func (export "_initialize")) (func (export "main") (result i32) (i32.const 0))"#].join(" ")),
            |host| assert!(refusal(host).contains("Bad function signature for: main, want: i32 i32 -> i32, but the module exports: void -> i32"));
        what_does_not_run_may_have_any_type: module("", &[MEMORY, ALLOCATOR, MARKER,
            r#"(func (export "_initialize")) (func (export "_start") (result i32) (i32.const 0))"#].join(" ")), |host| drop(logs(host));
        exit_fails_the_vm: module(&import("wasi_snapshot_preview1", "proc_exit", "i32", ""), &[MEMORY, ALLOCATOR, MARKER,
            r#"(func (export "_start") (call $proc_exit (i32.const 0)))"#].join(" ")),
            |host| assert!(refusal(host).contains("restricted_callback"));
    }
}

/// The versions of the ABI.
mod versions {
    use super::*;

    const LEVEL: &str = r#"(import "env" "proxy_get_log_level" (func (param i32) (result i32)))"#;
    const CONTINUE: &str = r#"(import "env" "proxy_continue_stream" (func (param i32) (result i32)))"#;
    const FIRST: &str = r#"(func (export "proxy_abi_version_0_1_0"))"#;
    const SECOND: &str = r#"(func (export "proxy_abi_version_0_2_0"))"#;

    /// A module of ABI 0.1.0 that logs its configurations, and calls functions that later versions
    /// do not have.
    fn first() -> String {
        let imports = [
            LOG,
            &import("env", "proxy_get_configuration", "i32 i32", "(result i32)"),
            &import("env", "proxy_get_header_map_value", "i32 i32 i32 i32 i32", "(result i32)"),
            &import("env", "proxy_clear_route_cache", "", "(result i32)"),
            &import("env", "proxy_continue_request", "", "(result i32)"),
            &import("env", "proxy_continue_response", "", "(result i32)"),
        ]
        .join(" ");
        let fields = r#"
            (memory (export "memory") 1) (data (i32.const 8) "x-none")
            (func (export "malloc") (param i32) (result i32) (i32.const 4096))
            (func (export "proxy_abi_version_0_1_0"))
            (func (export "proxy_on_foreign_function"))
            (func $show
                (drop (call $proxy_get_configuration (i32.const 100) (i32.const 104)))
                (drop (call $log (i32.const 2) (i32.load (i32.const 100)) (i32.load (i32.const 104)))))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $show) (i32.const 1))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $show) (i32.const 1))
            (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
                (call $show)
                (drop (call $proxy_get_header_map_value (i32.const 0) (i32.const 8) (i32.const 6) (i32.const 200) (i32.const 204)))
                (drop (call $proxy_get_header_map_value (i32.const 2) (i32.const 8) (i32.const 6) (i32.const 200) (i32.const 204)))
                (drop (call $proxy_clear_route_cache))
                (drop (call $proxy_continue_request))
                (i32.const 0))
            (func (export "proxy_on_response_headers") (param i32 i32) (result i32) (i32.const 0))"#;
        module(&imports, fields)
    }

    scenarios! {
        the_first_version: first(), |host| assert_eq!(logs(host).last().unwrap(), "of the VM");
        the_first_version_has_headers_callbacks_of_two_parameters: module("", &[MEMORY, ALLOCATOR, FIRST, &request_headers("")].join(" ")),
            |host| assert!(refusal(host).contains("Bad function signature for: proxy_on_request_headers, want: i32 i32 -> i32"));
        the_first_version_has_no_streams_to_continue: module(CONTINUE, &[MEMORY, ALLOCATOR, FIRST].join(" ")),
            |host| assert!(refusal(host).contains("missing import: env.proxy_continue_stream"));
        the_second_version: module(CONTINUE, &[MEMORY, ALLOCATOR, SECOND, &request_headers("")].join(" ")), |host| drop(logs(host));
        the_second_version_has_no_log_level: module(LEVEL, &[MEMORY, ALLOCATOR, SECOND].join(" ")),
            |host| assert!(refusal(host).contains("missing import: env.proxy_get_log_level"));
        the_first_marker_of_the_file_counts: module(LEVEL, &[MEMORY, ALLOCATOR, SECOND, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("missing import: env.proxy_get_log_level"));
        the_first_marker_of_the_file_counts_again: module(LEVEL, &[MEMORY, ALLOCATOR, MARKER, SECOND].join(" ")), |host| drop(logs(host));
        a_marker_that_is_no_function: module("", &[MEMORY, ALLOCATOR, r#"(global (export "proxy_abi_version_0_2_1") i32 (i32.const 1))"#].join(" ")),
            |host| assert!(refusal(host).contains("Missing or unknown Proxy-Wasm ABI version"));
    }
}

/// The imports that a module may have.
mod imports {
    use super::*;

    scenarios! {
        two_tables: module(r#"(import "env" "__indirect_function_table" (table 1 funcref)) (import "js" "t" (table 3 externref))"#,
            &[MEMORY, ALLOCATOR, MARKER].join(" ")), |host| assert!(refusal(host).contains("Failed to create new Wasm instance"));
        a_table: module(r#"(import "env" "__indirect_function_table" (table 1 funcref))"#, &[MEMORY, ALLOCATOR, MARKER].join(" ")),
            |host| drop(logs(host));
        a_table_of_references: module(r#"(import "js" "t" (table 3 externref))"#, &[MEMORY, ALLOCATOR, MARKER].join(" ")), |host| drop(logs(host));
        no_globals: module(r#"(import "env" "__memory_base" (global i32))"#, &[MEMORY, ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains("missing import: env.__memory_base"));
        another_type: module(r#"(import "env" "proxy_log" (func (param i32 i32) (result i32)))"#, &[MEMORY, ALLOCATOR, MARKER].join(" ")),
            |host| assert!(refusal(host).contains(
                "import type mismatch: env.proxy_log, want: i32 i32 -> i32, but host exports: i32 i32 i32 -> i32"
            ));
        of_emscripten: filter(&[
            &import("env", "emscripten_notify_memory_growth", "i32", ""),
            &import("env", "pthread_equal", "i32 i32", "(result i32)"),
        ].map(String::as_str).join(" "), "", "(call $emscripten_notify_memory_growth (i32.const 0))
            (drop (call $pthread_equal (i32.const 4) (i32.const 4))) (drop (call $pthread_equal (i32.const 4) (i32.const 5)))"),
            |host| drop(logs(host));
        callbacks_of_other_types: module("", &[MEMORY, ALLOCATOR, MARKER,
            r#"(func (export "proxy_on_tick")) (func (export "proxy_on_log") (result i32) (i32.const 0))
               (func (export "proxy_validate_configuration")) (func (export "proxy_on_memory_allocate"))"#].join(" ")), |host| {
            let refusal = refusal(host);
            for fault in ["proxy_on_tick, want: i32 -> void", "proxy_on_log, want: i32 -> void", "proxy_validate_configuration, want: i32 i32 -> i32"] {
                assert!(refusal.contains(&format!("Bad function signature for: {fault}")), "{refusal}");
            }
            assert!(!refusal.contains("proxy_on_memory_allocate"), "{refusal}");
        };
    }
}

/// WASI preview 1, under both names.
mod wasi {
    use super::*;

    const NAMES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

    /// Every function, with its parameters (`w` for 32 bits, `d` for 64), its arguments, and the
    /// number that Envoy returns for them.
    const FUNCTIONS: [(&str, &str, &[u64], u32); 62] = [
        ("args_get", "ww", &[64, 64], 0),
        ("args_sizes_get", "ww", &[64, 68], 0),
        ("args_sizes_get", "ww", &[64, 70_000], 21),
        ("environ_get", "ww", &[64, 128], 0),
        ("environ_get", "ww", &[64, 65_535], 21),
        ("environ_sizes_get", "ww", &[64, 68], 0),
        ("environ_sizes_get", "ww", &[70_000, 68], 21),
        ("clock_res_get", "ww", &[0, 64], 0),
        ("clock_res_get", "ww", &[1, 64], 0),
        ("clock_res_get", "ww", &[2, 64], 58),
        ("clock_res_get", "ww", &[1, 65_530], 21),
        ("random_get", "ww", &[64, 16], 0),
        ("random_get", "ww", &[70_000, 0], 0),
        ("random_get", "ww", &[70_000, 1], 21),
        ("random_get", "ww", &[0, 65_537], 28),
        ("fd_write", "wwww", &[0, 64, 0, 64], 8),
        ("fd_write", "wwww", &[3, 64, 0, 64], 8),
        ("fd_write", "wwww", &[1, 70_000, 1, 64], 21),
        ("fd_write", "wwww", &[1, 70_000, 0, 64], 0),
        ("fd_write", "wwww", &[1, 64, 0, 70_000], 21),
        ("fd_pwrite", "wwwdw", &[2, 64, 0, 7, 64], 0),
        ("fd_pwrite", "wwwdw", &[3, 64, 0, 7, 64], 8),
        ("fd_fdstat_get", "ww", &[0, 64], 8),
        ("fd_fdstat_get", "ww", &[1, 64], 0),
        ("fd_fdstat_get", "ww", &[2, 70_000], 0),
        ("fd_fdstat_set_flags", "ww", &[1, 0], 52),
        ("fd_fdstat_set_rights", "wdd", &[1, 0, 0], 0),
        ("fd_fdstat_set_rights", "wdd", &[3, 0, 0], 8),
        ("fd_advise", "wddw", &[9, 0, 0, 0], 0),
        ("fd_allocate", "wdd", &[1, 0, 0], 0),
        ("fd_allocate", "wdd", &[0, 0, 0], 8),
        ("fd_datasync", "w", &[3], 8),
        ("fd_sync", "w", &[2], 0),
        ("fd_filestat_get", "ww", &[1, 64], 8),
        ("fd_filestat_set_size", "wd", &[1, 0], 0),
        ("fd_filestat_set_times", "wddw", &[3, 0, 0, 0], 8),
        ("fd_read", "wwww", &[0, 64, 0, 64], 52),
        ("fd_pread", "wwwdw", &[0, 64, 0, 0, 64], 52),
        ("fd_readdir", "wwwdw", &[3, 64, 0, 0, 64], 20),
        ("fd_renumber", "ww", &[1, 2], 58),
        ("fd_renumber", "ww", &[1, 3], 8),
        ("fd_seek", "wdww", &[1, 0, 0, 64], 0),
        ("fd_tell", "ww", &[1, 64], 0),
        ("fd_tell", "ww", &[0, 64], 8),
        ("fd_close", "w", &[9], 0),
        ("fd_prestat_get", "ww", &[3, 64], 8),
        ("fd_prestat_dir_name", "www", &[3, 64, 0], 52),
        ("path_open", "wwwwwddww", &[3, 0, 64, 1, 0, 0, 0, 0, 64], 44),
        ("path_create_directory", "www", &[3, 64, 1], 58),
        ("path_filestat_get", "wwwww", &[3, 0, 64, 1, 64], 58),
        ("path_filestat_set_times", "wwwwddw", &[3, 0, 64, 1, 0, 0, 0], 58),
        ("path_link", "wwwwww", &[3, 0, 64, 1, 64, 1], 58),
        ("path_readlink", "wwwwww", &[3, 64, 1, 64, 1, 70_000], 21),
        ("path_remove_directory", "www", &[3, 64, 1], 58),
        ("path_rename", "wwwwww", &[3, 64, 1, 3, 64, 1], 58),
        ("path_symlink", "wwww", &[64, 1, 3, 64], 58),
        ("path_unlink_file", "www", &[3, 64, 1], 58),
        ("sock_accept", "www", &[3, 0, 64], 58),
        ("sock_recv", "wwwwww", &[3, 64, 1, 0, 64, 70_000], 21),
        ("sock_send", "wwwww", &[3, 64, 1, 0, 64], 58),
        ("sock_shutdown", "ww", &[3, 0], 58),
        ("proc_exit", "w", &[3], 0),
    ];

    fn wide(letter: char) -> &'static str {
        if letter == 'd' { "i64" } else { "i32" }
    }

    /// Calls every function, and traps with the number of the one that returned another value.
    fn all(module_name: &str) -> String {
        let mut imports = String::new();
        let mut calls = String::new();
        for (name, parameters, arguments, answer) in FUNCTIONS {
            let exit = name == "proc_exit";
            let result = if exit { "" } else { "(result i32)" };
            let types: Vec<_> = parameters.chars().map(wide).collect();
            if !imports.contains(&format!("\"{name}\"")) {
                imports += &import(module_name, name, &types.join(" "), result);
            }
            let values: Vec<_> =
                types.iter().zip(arguments).map(|(ty, value)| format!("({ty}.const {value})")).collect();
            let call = format!("(call ${name} {})", values.join(" "));
            let checked =
                ["(if (i32.ne ", call.as_str(), " (i32.const ", &answer.to_string(), ")) (then unreachable))"];
            calls += &if exit { call } else { checked.concat() };
        }
        filter(&imports, "", &calls)
    }

    /// The module traps if a function returns another value than expected.
    fn answers(mut host: Host) {
        host.environment_variable("COLOUR", "blue");
        if !host.behaves_as().not_offered().is_empty() {
            let refused = host.configure("").unwrap_err().to_string();
            assert!(refused.contains("due to a missing import: wasi_"), "{refused}");
            return;
        }
        host.configure("").unwrap();
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
    }

    /// Writes the bytes at these positions in one call of `fd_write`.
    fn write(module_name: &str, file: u32, text: &str, places: &[(u32, u32)]) -> String {
        let numbers = places.iter().flat_map(|(place, size)| [place.to_le_bytes(), size.to_le_bytes()]).flatten();
        let list = numbers.map(|byte| format!("\\{byte:02x}")).collect::<Vec<_>>().concat();
        filter(
            &import(module_name, "fd_write", "i32 i32 i32 i32", "(result i32)"),
            &format!(r#"(data (i32.const 8) "{text}") (data (i32.const 256) "{list}")"#),
            &format!(
                "(drop (call $fd_write (i32.const {file}) (i32.const 256) (i32.const {}) (i32.const 512)))
                 (if (i32.ne (i32.load (i32.const 512)) (i32.const {})) (then unreachable))",
                places.len(),
                places.iter().map(|(_, size)| size).sum::<u32>()
            ),
        )
    }

    /// Logs its environment, and the first random bytes.
    fn environment(module_name: &str) -> String {
        let imports = [
            LOG.to_owned(),
            import(module_name, "environ_get", "i32 i32", "(result i32)"),
            import(module_name, "environ_sizes_get", "i32 i32", "(result i32)"),
        ];
        filter(
            &imports.join(" "),
            "",
            "(drop (call $environ_sizes_get (i32.const 64) (i32.const 68)))
             (drop (call $environ_get (i32.const 96) (i32.const 128)))
             (if (i32.ne (i32.load (i32.const 96)) (i32.const 128)) (then unreachable))
             (if (i32.ne (i32.load (i32.const 64)) (i32.const 1)) (then unreachable))
             (drop (call $log (i32.const 2) (i32.const 128) (i32.load (i32.const 68))))",
        )
    }

    /// Sleeps for 20 ms as a runtime does: it repeats the call until the time has passed.
    fn sleep(module_name: &str) -> String {
        let imports = [
            LOG.to_owned(),
            import(module_name, "clock_time_get", "i32 i64 i32", "(result i32)"),
            import(module_name, "poll_oneoff", "i32 i32 i32 i32", "(result i32)"),
            import(module_name, "sched_yield", "", "(result i32)"),
        ];
        filter(
            &imports.join(" "),
            r#"(data (i32.const 8) "awake")
               (func $now (result i64)
                   (if (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64)) (then unreachable))
                   (i64.load (i32.const 64)))"#,
            "(i64.store (i32.const 72) (i64.add (call $now) (i64.const 20000000)))
             (i32.store (i32.const 272) (i32.const 1))
             (i64.store (i32.const 280) (i64.const 20000000))
             (loop $again
                 (if (call $poll_oneoff (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 76)) (then unreachable))
                 (drop (call $sched_yield))
                 (br_if $again (i64.lt_u (call $now) (i64.load (i32.const 72)))))
             (drop (call $log (i32.const 2) (i32.const 8) (i32.const 5)))",
        )
    }

    fn lines(mut host: Host) -> Vec<(&'static str, String)> {
        host.configure("").unwrap();
        let exchange = host.get("/").send();
        assert_eq!(exchange.status(), 200, "{exchange}");
        exchange.logs().iter().map(|line| (line.level.name(), line.message.clone())).collect()
    }

    scenarios! {
        every_function: all(NAMES[0]), answers;
        every_function_under_its_older_name: all(NAMES[1]), answers;
        standard_output_is_an_info_line: write(NAMES[0], 1, "one\\ntwo\\n", &[(8, 4), (12, 4)]),
            |host| assert_eq!(lines(host), [("info", "one\ntwo".to_owned())]);
        standard_error_is_an_error_line: write(NAMES[1], 2, "oops\\n\\n", &[(8, 6)]),
            |host| assert_eq!(lines(host), [("error", "oops\n".to_owned())]);
        nothing_written_is_no_line: write(NAMES[0], 1, "", &[(8, 0), (70_000, 0)]), |host| assert_eq!(lines(host), []);
        environment_variables: environment(NAMES[0]), |host| assert_eq!(logs(host), ["COLOUR=blue\0"]);
        a_module_that_sleeps_wakes: sleep(NAMES[0]), |host| {
            if host.behaves_as().differs_in("returns `nosys` (52)") { traps(host) } else { assert_eq!(logs(host), ["awake"]) }
        };
    }

    /// The functions of WASI that must not be called while a module starts or allocates.
    #[test]
    fn functions_that_may_not_be_called_while_a_module_is_initialised() {
        let forbidden = ["fd_read", "fd_seek", "fd_close", "path_open", "proc_exit", "sched_yield"];
        let others = [("sched_yield", "", &[][..], 0), ("poll_oneoff", "wwww", &[64, 64, 0, 64][..], 0)];
        for (name, parameters, arguments, _) in FUNCTIONS.into_iter().chain(others) {
            let types: Vec<_> = parameters.chars().map(wide).collect();
            let values: Vec<_> =
                types.iter().zip(arguments).map(|(ty, value)| format!("({ty}.const {value})")).collect();
            let result = if name == "proc_exit" { "" } else { "(result i32)" };
            let (call, end) =
                (format!("(call ${name} {})", values.join(" ")), if result.is_empty() { "" } else { "drop" });
            let text = module(
                &import(NAMES[0], name, &types.join(" "), result),
                &[MEMORY, ALLOCATOR, MARKER, &format!(r#"(func (export "_initialize") {call} {end})"#)].join(" "),
            );
            let refused = Host::for_module(&bytes(&text)).configure("").err().map(|refused| refused.to_string());
            assert_eq!(refused.is_some(), forbidden.contains(&name), "{name}: {refused:?}");
        }
    }
}
