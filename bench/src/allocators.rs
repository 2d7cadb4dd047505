//! What a filter costs on other global allocators than the default one.

use super::Failure;
use super::build::{Profile, build};
use super::measure::{Costs, measure};
use std::path::PathBuf;

/// The allocators, the default one of wasm modules first.
pub const ALLOCATORS: [&str; 5] = ["dlmalloc", "wee_alloc", "lol_alloc", "rlsf", "talc"];

/// What is measured on each: a filter that allocates once for a request, and `churn`, which brings
/// eight blocks of 16 bytes to 2 KiB with each request and keeps the last 256 in an order that is
/// as good as random.
pub const FILTERS: [&str; 2] = ["check_auth", "churn"];

/// A filter on an allocator.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the filter does.
    pub filter: &'static str,
    /// The crate of the allocator.
    pub allocator: &'static str,
    /// The module.
    pub path: PathBuf,
    /// What it costs.
    pub costs: Costs,
}

/// Builds the filters and measures them in the workspace's profile; `requests` as for the other
/// filters.
///
/// # Errors
/// A module cannot be built or measured.
pub fn rows(requests: u32) -> Result<Vec<Row>, Failure> {
    let names = FILTERS.iter().flat_map(|filter| ALLOCATORS.map(|allocator| (*filter, allocator)));
    let names: Vec<_> = names.map(|(filter, allocator)| (filter, allocator, format!("{allocator}_{filter}"))).collect();
    let modules: Vec<_> = names.iter().map(|(.., module)| module.as_str()).collect();
    let paths = build(Profile::Workspace, &["proxy-filter-bench-allocators"], &modules)?;
    let row = |((filter, allocator, _), path): ((_, _, _), PathBuf)| {
        let costs = measure(&path, requests)?;
        Ok(Row { filter, allocator, path, costs })
    };
    names.into_iter().zip(paths).map(row).collect()
}
