//! `rate_limit` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::rate_limit;
use std::hint::black_box;
use std::time::Duration;

/// What the filter does for each request.
fn run() -> usize {
    let bucket = rate_limit::TokenBucket::new(100, Duration::from_secs(60));
    let taken = bucket.take(black_box(Some(7)), 1, black_box(Duration::from_secs(1)));
    usize::from(taken.is_allowed())
}
