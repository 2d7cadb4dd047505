//! `client_address` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::client_address;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let header = black_box(b"203.0.113.7, 10.0.0.1".as_slice());
    usize::from(client_address::TrustedProxies::hops(1).client([10, 0, 0, 2].into(), &[header]).is_ipv4())
}
