//! What a filter costs does not get worse, and stays within its limits.
#![cfg(feature = "wasmtime")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "this is a test")]

use proxy_filter_host::costs::build::{Modules, Profile};
use proxy_filter_host::costs::growth::Growth;
use proxy_filter_host::costs::ledger::{HOW_TO_BLESS, Ledger};
use proxy_filter_host::costs::measure::among;
use proxy_filter_host::costs::table::Table;
use proxy_filter_host::costs::{FILTERS, Maker};
use std::sync::OnceLock;

/// Requests before the memory is measured the second time: enough to see growth, few enough for a test.
const REQUESTS: u32 = 1000;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::measure(REQUESTS).unwrap())
}

#[test]
fn no_figure_is_worse_than_in_the_file() {
    let worse = Ledger::of(table()).unwrap().worse_than(&Ledger::read().unwrap());
    assert!(worse.is_empty(), "{}\n{HOW_TO_BLESS}", worse.join("\n"));
}

#[test]
fn no_filter_is_beyond_its_limits() {
    let beyond = Ledger::of(table()).unwrap().beyond_limits();
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
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
    // The end of its stream is told besides: something is remembered of the body.
    assert_eq!(callbacks("body_rewrite"), 3);
}

#[test]
fn a_request_costs_the_same_among_a_hundred_thousand_streams_as_alone() {
    let modules = Modules::build(Profile::Workspace).unwrap();
    for filter in FILTERS {
        let module = modules.read(Maker::Ours, filter).unwrap();
        let (alone, crowded) = (among(&module, 1).unwrap(), among(&module, 100_000).unwrap());
        assert!(crowded.abs_diff(alone) * 20 < alone, "{filter}: {alone} instructions alone, {crowded} among others");
    }
}
