//! `event_stream` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::event_stream;
use std::hint::black_box;

/// The bytes of a body.
const EVENTS: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\" world\"}}]}\n\nevent: end\ndata: [DONE]\n\n";

/// What the filter does for each request.
fn run() -> usize {
    let mut bytes = 0;
    event_stream::Decoder::new(4096).push(black_box(EVENTS), |event| bytes += event.data.len());
    bytes
}
