//! `json_lines` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::json_lines;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let mut bytes = 0;
    json_lines::Lines::new(4096).push(black_box(b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"), |line| bytes += line.len());
    bytes
}
