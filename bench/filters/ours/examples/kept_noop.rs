//! As `noop`, with a context that is stored for each stream: the cost of a filter with state.

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
