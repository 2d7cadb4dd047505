//! `hedge` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::hedge;
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

std::thread_local! {
    static LATENCY: RefCell<hedge::Latency> = const { RefCell::new(hedge::Latency::new(95, Duration::from_millis(50))) };
}

/// What the filter does for each request.
fn run() -> usize {
    LATENCY.with_borrow_mut(|latency| {
        latency.record(black_box(Duration::from_millis(7)));
        usize::from(latency.delay() > Duration::from_millis(7))
    })
}
