//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use subtle::ConstantTimeEq;
    input.ct_eq(b"secret").into()
});
