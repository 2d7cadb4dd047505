//! Registered, and implements nothing.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Noop;

    fn new_context(&self) -> Noop {
        Noop
    }
}

struct Noop;

#[proxy_filter::context]
impl Context for Noop {}
