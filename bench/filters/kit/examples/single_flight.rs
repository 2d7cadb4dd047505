//! `single_flight` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::single_flight;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What the filter does for each request.
fn run() -> usize {
    let flights = single_flight::SingleFlight::<Vec<u8>, usize>::new();
    let mut call = pin!(flights.run(black_box(b"key".as_slice()).to_vec(), async || 7));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => 0,
    }
}
