//! `log_line` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::log_line;
use std::hint::black_box;
use std::time::Duration;

/// What the filter does for each request.
fn run() -> usize {
    let line = log_line::LogLine::new(1024).text("method", black_box(b"GET")).text("path", black_box(b"/a\"b"));
    line.number("status", black_box(200)).milliseconds("duration_ms", Duration::from_millis(12)).finish().len()
}
