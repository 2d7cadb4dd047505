//! `circuit_breaker` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::circuit_breaker;
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

std::thread_local! {
    static BREAKER: RefCell<circuit_breaker::CircuitBreaker> =
        RefCell::new(circuit_breaker::CircuitBreaker::new(circuit_breaker::Settings::default()));
}

/// What the filter does for each request.
fn run() -> usize {
    BREAKER.with_borrow_mut(|breaker| {
        let now = black_box(Duration::from_secs(1));
        if let Ok(permit) = breaker.allow(now) {
            breaker.report(permit, true, now);
        }
        usize::from(breaker.state() == circuit_breaker::State::Closed)
    })
}
