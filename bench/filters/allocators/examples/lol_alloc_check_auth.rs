//! `check_auth` on `lol_alloc`.
#![allow(unsafe_code, reason = "that there is one thread has to be promised")]

#[path = "../../ours/examples/check_auth.rs"]
mod filter;

#[cfg(target_family = "wasm")]
#[global_allocator]
// SAFETY: a module has one thread.
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };
