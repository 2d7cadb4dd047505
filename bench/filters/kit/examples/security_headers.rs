//! `security_headers` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::security_headers;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    security_headers::SecurityHeaders::recommended()
        .set("x-a", black_box("b"))
        .build()
        .map_or(0, |headers| headers.len())
}
