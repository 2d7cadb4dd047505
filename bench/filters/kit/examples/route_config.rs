//! `route_config` of the kit.

#[path = "../frame/mod.rs"]
mod frame;

use proxy_filter_kit::route_config;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;

std::thread_local! {
    static SETTINGS: RefCell<Option<route_config::RouteConfig<BTreeMap<String, String>>>> =
        RefCell::new(route_config::RouteConfig::new(b"{\"a\":\"1\"}").ok());
}

/// What the filter does for each request.
fn run() -> usize {
    SETTINGS.with_borrow_mut(|settings| {
        let settings = settings.as_mut().and_then(|settings| settings.get(&[black_box(b"{\"b\":\"2\"}")]).ok());
        settings.map_or(0, |settings| settings.len())
    })
}
