//! As `noop`, with a context that is kept for each stream: what a filter with state costs.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Noop;

    fn new_context(&self) -> Noop {
        Noop {}
    }
}

struct Noop;

#[proxy_filter::context]
impl Context for Noop {}
