//! `signature`: HMAC over parts of a request.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::signature;
use std::hint::black_box;
use std::time::Duration;

std::thread_local! {
    static SIGNER: Option<signature::RequestSigner> = signature::Secret::new([7; 32]).map(signature::RequestSigner::new);
}

/// What the filter does for each request.
fn run() -> usize {
    SIGNER.with(|signer| {
        let Some(signer) = signer else { return 0 };
        let (parts, now) = (black_box([b"GET".as_slice(), b"/a"]), black_box(Duration::from_secs(1)));
        let header = signer.sign(&parts, now).unwrap_or_default();
        usize::from(signer.verify(header.as_bytes(), &parts, now).is_ok())
    })
}
