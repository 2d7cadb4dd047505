//! `json` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::json;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let body = b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"stream\":true}".as_slice();
    let mut bytes = 0;
    if let Ok(mut extractor) = json::Extractor::new(["/model", "/messages/*/content"], 4096) {
        let _ = extractor.push(black_box(body), |path, _| bytes += path + 1);
    }
    bytes
}
