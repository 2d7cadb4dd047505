use proxy_filter::prelude::*;

struct Stamped;

#[proxy_filter::context(Stamp)]
impl Context for Stamped {}

#[derive(Default)]
struct Stamp;

#[proxy_filter::root(id = "stamp")]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

fn main() {}
