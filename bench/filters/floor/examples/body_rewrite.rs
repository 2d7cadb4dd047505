//! Replaces the response's body.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the exports of a module are named without mangling")]

use proxy_filter_bench_floor::{self as by_hand, CONTINUE, RESPONSE_HEADERS, STOP};

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    by_hand::remove(RESPONSE_HEADERS, "content-length");
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(_: u32, size: u32, end_of_stream: u32) -> u32 {
    if end_of_stream == 0 {
        return STOP;
    }
    if size > 0 {
        by_hand::replace_body(size, b"rewritten by a filter\n");
    }
    CONTINUE
}
