//! `signature`: HTTP message signatures.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::signature;
use std::hint::black_box;
use std::time::Duration;

/// What the filter does for each request.
fn run() -> usize {
    use signature::message::{Component, Message, Signer, SigningKey, Verifier, VerifyingKey};
    let headers = [(b"host".as_slice(), b"a.example".as_slice())];
    let message = Message::request("GET", "https", "a.example", black_box("/a"), &headers);
    let (Ok(private), Ok(public)) = (SigningKey::hmac_sha256([7; 32]), VerifyingKey::hmac_sha256([7; 32])) else {
        return 0;
    };
    let covered = ["@method", "@path"].iter().filter_map(|name| Component::parse(name).ok());
    let (signing, now) = (Signer::new(private, "key", covered), black_box(Duration::from_secs(1)));
    let Ok(made) = signing.sign(&message, None, now) else { return 0 };
    let (input, signature) = (made.input.as_bytes(), made.signature.as_bytes());
    usize::from(Verifier::new([]).verify(&message, input, signature, now, |_| Some(&public)).is_ok())
}
