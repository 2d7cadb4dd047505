//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| core::str::from_utf8(input)
    .is_ok_and(|text| text.parse::<ipnet::IpNet>().is_ok_and(|net| net.contains(&net.network()))));
