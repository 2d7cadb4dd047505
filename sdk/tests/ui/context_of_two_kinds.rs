use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Both;

    fn new_context(&self) -> Both {
        Both
    }
}

struct Both;

#[proxy_filter::context]
impl Context for Both {}

#[proxy_filter::stream_context]
impl StreamContext for Both {}

fn main() {}
