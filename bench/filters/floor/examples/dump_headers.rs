//! Logs every request and response header at info.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the exports of a module are named without mangling")]

use proxy_filter_bench_floor::{self as by_hand, CONTINUE, REQUEST_HEADERS, RESPONSE_HEADERS};

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    by_hand::release_all();
    by_hand::log_all(REQUEST_HEADERS);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    by_hand::release_all();
    by_hand::log_all(RESPONSE_HEADERS);
    CONTINUE
}
