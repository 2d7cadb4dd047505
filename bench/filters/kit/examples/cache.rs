//! `cache` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::cache;
use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

std::thread_local! {
    static CACHE: RefCell<cache::Cache<Vec<u8>, usize>> = RefCell::new(cache::Cache::new(100));
}

/// What the filter does for each request.
fn run() -> usize {
    CACHE.with_borrow_mut(|cache| {
        let (key, now) = (black_box(b"key".as_slice()), black_box(Duration::from_secs(1)));
        cache.insert(key.to_vec(), 7, now + Duration::from_secs(9));
        cache.get(key, now).copied().unwrap_or_default()
    })
}
