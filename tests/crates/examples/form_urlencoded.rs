//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| form_urlencoded::parse(input).any(|(name, value)| name == value));
