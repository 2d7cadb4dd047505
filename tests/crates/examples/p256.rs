//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
    VerifyingKey::from_sec1_bytes(input)
        .is_ok_and(|key| Signature::from_slice(input).is_ok_and(|signature| key.verify(input, &signature).is_ok()))
});
