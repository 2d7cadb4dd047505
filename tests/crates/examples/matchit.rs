//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| core::str::from_utf8(input).is_ok_and(|text| {
    let mut routes = matchit::Router::new();
    routes.insert(text, 1).is_ok() && routes.at(text).is_ok()
}));
