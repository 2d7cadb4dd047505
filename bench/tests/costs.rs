//! The costs of filters do not grow, and stay within their limits.
#![cfg(feature = "wasmtime")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_bench::blocks;
use proxy_filter_bench::build::Profile;
use proxy_filter_bench::growth::Growth;
use proxy_filter_bench::ledger::{HOW_TO_BLESS, LIMITS, Ledger};
use proxy_filter_bench::measure::{among, measure};
use proxy_filter_bench::table::Table;
use proxy_filter_bench::{FILTERS, Maker};
use proxy_filter_host::{Engine, Host, ModuleReport, Reply, build_guest};
use std::path::Path;
use std::sync::OnceLock;

/// Requests before the memory is measured the second time: enough to see growth, few enough for a
/// test.
const REQUESTS: u32 = 1000;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::measure(REQUESTS).unwrap())
}

#[test]
fn no_figure_exceeds_the_recorded_one() {
    let worse = Ledger::of(table()).unwrap().worse_than(&Ledger::read().unwrap());
    assert!(worse.is_empty(), "{}\n{HOW_TO_BLESS}", worse.join("\n"));
}

#[test]
fn no_block_of_the_kit_exceeds_its_ceiling_and_each_feature_has_one() {
    let rows = blocks::rows(REQUESTS).unwrap();
    for row in &rows {
        println!("{}: {} bytes, {} instructions", row.block, row.bytes(), row.instructions());
        let report = ModuleReport::read(&std::fs::read(&row.path).unwrap()).unwrap();
        assert_eq!(report.refusal, None, "{}", row.block);
    }
    let beyond = blocks::beyond(&rows);
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
    let manifest = include_str!("../../kit/Cargo.toml");
    let features = manifest.split_once("default = []\n").unwrap().1.split_once("\n[").unwrap().0;
    // The features of single algorithms are parts of the block `jwt`.
    let blocks = features.lines().filter_map(|line| Some(line.split_once(" = [")?.0));
    for feature in blocks.filter(|feature| !feature.starts_with("jwt_")) {
        let coding = feature.trim_end_matches("encoding");
        assert!(rows.iter().any(|row| row.block.starts_with(coding)), "no bench filter for {feature}");
    }
}

#[test]
fn no_filter_exceeds_its_limits() {
    let beyond = Ledger::of(table()).unwrap().beyond_limits();
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}

/// The bench filters have no state, which spares them the life of contexts. Their limits are for
/// those that have some, too.
#[test]
fn no_filter_with_state_exceeds_the_limits() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (filter, bytes, instructions) in LIMITS.iter().take(3) {
        let name = format!("ours_kept_{filter}");
        let costs =
            measure(&build_guest(directory, "proxy-filter-bench-ours", Some(&name)).unwrap(), REQUESTS).unwrap();
        println!("{name}: {costs:?}");
        assert!(costs.bytes <= *bytes && costs.instructions <= *instructions, "{name}: {costs:?}");
        let without = table().costs(filter, Maker::Ours, Profile::Workspace).unwrap();
        assert_eq!(costs.callbacks, without.callbacks + 2, "{name}");
    }
}

#[test]
fn a_filter_without_the_report_of_panics_has_at_most_eight_thousand_bytes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["bare_noop", "bare_kept_noop"] {
        let module = build_guest(directory, "proxy-filter-bench-bare", Some(name)).unwrap();
        let bytes = std::fs::metadata(module).unwrap().len();
        println!("{name}: {bytes} bytes");
        assert!(bytes <= 8_000, "{name}: {bytes} bytes");
    }
}

#[test]
fn no_filter_needs_more_memory_with_every_request() {
    let grown = Growth::measure(REQUESTS).unwrap().grown();
    assert!(grown.is_empty(), "{}", grown.join("\n"));
    for filter in FILTERS {
        let costs = table().costs(filter, Maker::Ours, Profile::Workspace).unwrap();
        assert!(costs.pages <= 2 && costs.pages_after <= 2, "{filter}: {costs:?}");
    }
}

#[test]
fn the_host_enters_only_the_callbacks_a_filter_implements() {
    let callbacks = |filter| table().costs(filter, Maker::Ours, Profile::Workspace).unwrap().callbacks;
    assert_eq!(callbacks("noop"), 0);
    assert_eq!(callbacks("add_header"), 1);
    // The SDK stores something about the body, so the end of its stream is a callback too.
    assert_eq!(callbacks("body_rewrite"), 3);
}

#[test]
fn a_request_costs_the_same_among_a_hundred_thousand_streams_as_alone() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The SDK stores nothing about the streams of the others.
    for filter in ["kept_noop", "kept_add_header", "kept_check_auth", "body_rewrite"] {
        let path = build_guest(directory, "proxy-filter-bench-ours", Some(&format!("ours_{filter}"))).unwrap();
        let module = std::fs::read(path).unwrap();
        let (alone, crowded) = (among(&module, 1).unwrap(), among(&module, 100_000).unwrap());
        assert!(crowded.abs_diff(alone) * 20 < alone, "{filter}: {alone} instructions alone, {crowded} among others");
    }
}

#[test]
fn a_profile_has_the_instructions_of_the_counting_engine() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    for filter in FILTERS {
        let name = format!("ours_{filter}");
        let path = build_guest(directory, "proxy-filter-bench-ours", Some(&name)).unwrap();
        let module = std::fs::read(path).unwrap();
        let (mut host, profiler) = Host::profiled(&module).unwrap();
        let mut counting = Host::for_module_on(Engine::Counting, &module);
        let mut before = 0;
        for (number, token) in ["Bearer t", "no", "Bearer t"].into_iter().enumerate() {
            let instructions = [&mut counting, &mut host].map(|host| {
                host.cluster("authz", |_| Reply::new(200).header("x-user", "alice"));
                let request = host.post("/orders").header("authorization", token).body("a body of some bytes");
                request.send().spent().instructions
            });
            println!("{name}, request {number}: {instructions:?}");
            assert_eq!(instructions[0], instructions[1], "{name}, request {number}");
            assert!(profiler.instructions() >= before + instructions[1], "{name}");
            before = profiler.instructions();
        }
        let frames = profiler.frames();
        let sum: u64 = frames.iter().flat_map(|frame| frame.instructions.values()).sum();
        assert_eq!(sum, profiler.instructions(), "{name}");
    }
}
