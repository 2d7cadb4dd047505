//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| input.len() > 7);
