//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    let now = chrono::Utc::now();
    now.to_rfc3339().as_bytes() == input
});
