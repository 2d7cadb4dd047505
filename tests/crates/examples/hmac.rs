//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;
    Hmac::<Sha256>::new_from_slice(input).is_ok_and(|mut mac| {
        mac.update(input);
        mac.verify_slice(input).is_ok()
    })
});
