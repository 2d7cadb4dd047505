//! `trace` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::trace;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let header = black_box(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    trace::TraceContext::parse(header).map_or(0, |context| context.child(black_box(7)).to_traceparent().len())
}
