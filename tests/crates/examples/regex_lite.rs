//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| core::str::from_utf8(input)
    .is_ok_and(|text| regex_lite::Regex::new(text).is_ok_and(|pattern| pattern.is_match(text))));
