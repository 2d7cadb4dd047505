use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

impl Context for Stamped {}

fn main() {}
