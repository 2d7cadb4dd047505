//! What looks like a unit struct is a constant with fields.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Counted;

    fn new_context(&self) -> Counted {
        Counted
    }
}

struct Counted {
    _count: u32,
}

#[allow(non_upper_case_globals)]
const Counted: Counted = Counted { _count: 0 };

#[proxy_filter::context]
impl Context for Counted {}

fn main() {}
