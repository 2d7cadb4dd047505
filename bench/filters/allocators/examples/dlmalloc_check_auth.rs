//! `check_auth` on `dlmalloc`.

#[path = "../../ours/examples/check_auth.rs"]
mod filter;
