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

#[proxy_filter::context]
impl StreamContext for Guard {}

#[proxy_filter::stream_context]
impl Context for Guard {}

fn main() {}
