//! `content_encoding`: encodes 512 bytes.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::content_encoding;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let mut bytes = 0;
    let mut encoder = content_encoding::Encoder::new(content_encoding::Coding::Gzip);
    encoder.push(black_box(&[b'a'; 512]), |part| bytes += part.len());
    encoder.finish(|part| bytes += part.len());
    bytes
}
