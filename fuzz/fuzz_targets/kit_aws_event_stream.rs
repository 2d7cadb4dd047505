//! The block `aws_event_stream` of the kit.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| proxy_filter_fuzz::aws_event_stream(bytes));
