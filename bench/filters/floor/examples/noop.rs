//! Registered, and implements nothing.
#![cfg_attr(target_family = "wasm", no_std)]
#![cfg(target_family = "wasm")]

use proxy_filter_bench_floor as _;
