//! Adds one response header.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the exports of a module are named without mangling")]

use proxy_filter_bench_floor::{self as by_hand, CONTINUE, RESPONSE_HEADERS};

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    by_hand::add(RESPONSE_HEADERS, "x-filter", b"bench");
    CONTINUE
}
