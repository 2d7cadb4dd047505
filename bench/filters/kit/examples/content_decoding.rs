//! `content_encoding`: decodes 512 bytes.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::content_encoding;
use std::hint::black_box;

/// 512 bytes in `gzip`.
const BODY: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 179, 41, 176, 51, 48, 52, 50, 54, 49, 53, 51, 183, 176, 180, 209, 47, 176, 25,
    229, 143, 40, 62, 0, 177, 14, 73, 75, 0, 2, 0, 0,
];

/// What the filter does for each request.
fn run() -> usize {
    let mut bytes = 0;
    let mut decoder = content_encoding::Decoder::new(content_encoding::Coding::Gzip, 4096);
    let _ = decoder.push(black_box(BODY), |part| bytes += part.len());
    bytes
}
