//! See `docs/crates.md`.

proxy_filter_crates::module!(
    |input| serde_json::from_slice::<serde_json::Value>(input).is_ok_and(|value| value.to_string().len() > 7)
);
