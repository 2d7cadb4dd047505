//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| core::str::from_utf8(input)
    .is_ok_and(|text| httpdate::parse_http_date(text).is_ok_and(|date| httpdate::fmt_http_date(date) == text)));
