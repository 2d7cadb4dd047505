//! See `docs/crates.md`.

proxy_filter_crates::module!(
    |input| aho_corasick::AhoCorasick::new([input, b"a"]).is_ok_and(|words| words.is_match(input))
);
