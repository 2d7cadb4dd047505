//! `churn` on `wee_alloc`.

#[path = "../filters/churn.rs"]
mod filter;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: wee_alloc::WeeAlloc<'static> = wee_alloc::WeeAlloc::INIT;
