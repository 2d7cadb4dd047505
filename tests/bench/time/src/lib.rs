//! The benchmarks are in `benches`: `native` (the header-pair codec and the dispatch, as native code) and `request` (whole requests).
