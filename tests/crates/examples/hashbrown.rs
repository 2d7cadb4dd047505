//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    let mut map = hashbrown::HashMap::new();
    input.iter().for_each(|byte| {
        map.insert(*byte, 1);
    });
    map.contains_key(&7)
});
