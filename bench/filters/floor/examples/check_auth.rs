//! Takes the bearer token out of `authorization` and hands it on as `x-user`; a request without one
//! is refused.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the exports of a module are named without mangling")]

use proxy_filter_bench_floor::{self as by_hand, CONTINUE, REQUEST_HEADERS, STOP};

/// `www-authenticate: Bearer`, encoded.
const CHALLENGE: &[u8] = b"\x01\0\0\0\x10\0\0\0\x06\0\0\0www-authenticate\0Bearer\0";

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    by_hand::release_all();
    let Some(user) = by_hand::header(REQUEST_HEADERS, "authorization").strip_prefix(b"Bearer ") else {
        by_hand::reply(401, CHALLENGE, "a token is needed\n");
        return STOP;
    };
    by_hand::replace(REQUEST_HEADERS, "x-user", user);
    by_hand::remove(REQUEST_HEADERS, "authorization");
    CONTINUE
}
