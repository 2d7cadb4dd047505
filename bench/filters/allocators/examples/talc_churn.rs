//! `churn` on `talc`.
#![allow(unsafe_code, reason = "that there is one thread has to be promised")]

#[path = "../filters/churn.rs"]
mod filter;

#[cfg(target_family = "wasm")]
#[global_allocator]
// SAFETY: a module has one thread, and nothing else takes pages of memory.
static ALLOCATOR: talc::TalckWasm = unsafe { talc::TalckWasm::new_global() };
