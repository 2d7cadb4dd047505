//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use ed25519_dalek::{Signature, VerifyingKey};
    input.first_chunk().is_some_and(|key| {
        VerifyingKey::from_bytes(key).is_ok_and(|key| {
            Signature::from_slice(input).is_ok_and(|signature| key.verify_strict(input, &signature).is_ok())
        })
    })
});
