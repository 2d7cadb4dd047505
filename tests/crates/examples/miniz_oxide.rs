//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(input, 999).is_ok());
