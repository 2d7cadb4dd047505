//! What looks like a filter without state has a context with a destructor.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Guard;

    fn new_context(&self) -> Guard {
        Guard
    }
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {}
}

#[proxy_filter::context]
impl Context for Guard {}

fn main() {}
