//! The block `llm_usage` of the kit.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proxy_filter_fuzz::llm_usage(bytes));
