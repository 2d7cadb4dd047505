//! The block `single_flight` of the kit.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proxy_filter_fuzz::single_flight(bytes));
