//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use sha2::{Digest, Sha256};
    Sha256::digest(input)[0] == 7
});
