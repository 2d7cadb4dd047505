//! Registered, and implements nothing.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}
