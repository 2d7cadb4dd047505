//! `check_auth` on `rlsf`.

#[path = "../../ours/examples/check_auth.rs"]
mod filter;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
