//! `retry` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::retry;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

/// What the filter does for each request.
fn run() -> usize {
    let backoff = retry::Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let asked = retry::retry_after(black_box(b"120"), SystemTime::UNIX_EPOCH).unwrap_or_default();
    usize::from(backoff.pause(black_box(3), black_box(0x1234_5678)) < asked)
}
