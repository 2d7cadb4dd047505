//! `signature`: AWS Signature Version 4.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::signature;
use std::hint::black_box;
use std::time::Duration;

/// What the filter does for each request.
fn run() -> usize {
    use signature::aws::{Credentials, Payload, Request, Signer};
    let headers = [(b"host".as_slice(), b"a.example".as_slice())];
    let request =
        Request { method: b"GET", target: black_box(b"/a?b=c"), headers: &headers, payload: Payload::Bytes(b"") };
    let signer = Signer::new(Credentials::new("a", "b"), "eu-west-1", "execute-api");
    signer.sign(&request, black_box(Duration::from_secs(1))).map_or(0, |headers| headers.len())
}
