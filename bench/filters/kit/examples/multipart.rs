//! `multipart` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::multipart;
use std::hint::black_box;

/// What the filter does for each request.
fn run() -> usize {
    let body = b"--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--b--\r\n".as_slice();
    let mut names = 0;
    if let Ok(mut reader) = multipart::Reader::new(b"b", 4096) {
        let _ = reader.push(black_box(body), |event| match event {
            multipart::Event::Part(part) => names += part.name().map_or(0, |name| name.len()),
            multipart::Event::Data(data) => names += data.len(),
            _ => {}
        });
    }
    names
}
