//! `churn` on `dlmalloc`.

#[path = "../filters/churn.rs"]
mod filter;
