//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| percent_encoding::percent_decode(input).eq(percent_encoding::percent_encode(
    input,
    percent_encoding::NON_ALPHANUMERIC
)
.flat_map(|part| part.bytes())));
