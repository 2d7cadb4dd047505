//! See `docs/crates.md`.

proxy_filter_crates::module!(
    |input| core::str::from_utf8(input).is_ok_and(|text| url::Url::parse(text).is_ok_and(|url| url.path() == text))
);
