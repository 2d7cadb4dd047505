//! `churn` on `rlsf`.

#[path = "../filters/churn.rs"]
mod filter;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
