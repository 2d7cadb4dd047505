//! Calls a service for every request: a user for the upstream, or 403.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the exports of a module are named without mangling")]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use proxy_filter_bench_floor::{self as by_hand, REQUEST_HEADERS, RESPONSE_OF_CALL, STOP};

/// The streams with a call in flight, by the number of their call. If there are more, they
/// overwrite each other.
static WAITING: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];

fn waiting(token: u32) -> &'static AtomicU32 {
    // Envoy's tokens of HTTP calls are multiples of 4.
    &WAITING[(token / 4) as usize % WAITING.len()]
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(id: u32, _: u32, _: u32) -> u32 {
    by_hand::release_all();
    let authorization = by_hand::header(REQUEST_HEADERS, "authorization");
    let headers = [
        (&b":method"[..], &b"GET"[..]),
        (b":path", b"/check"),
        (b":authority", b"authz"),
        (b"authorization", authorization),
    ];
    match by_hand::http_call("authz", &headers, 5000) {
        Some(token) => waiting(token).store(id, Relaxed),
        None => by_hand::reply(403, &[], "denied\n"),
    }
    STOP
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(_: u32, token: u32, _: u32, _: u32, _: u32) {
    by_hand::release_all();
    let status = by_hand::header(RESPONSE_OF_CALL, ":status");
    by_hand::act_on(waiting(token).load(Relaxed));
    if status == b"200" {
        by_hand::replace(REQUEST_HEADERS, "x-user", by_hand::header(RESPONSE_OF_CALL, "x-user"));
        by_hand::continue_request();
    } else {
        by_hand::reply(403, &[], "denied\n");
    }
}
