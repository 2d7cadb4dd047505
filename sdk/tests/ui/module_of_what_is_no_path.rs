use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root(root_id = "stamp")]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {}

#[derive(Default)]
struct Auth;

#[proxy_filter::root(root_id = "auth")]
impl RootContext for Auth {
    type Context = Authorized;

    fn new_context(&self) -> Authorized {
        Authorized
    }
}

struct Authorized;

#[proxy_filter::context]
impl Context for Authorized {}

proxy_filter::module!(Auth, Stamp, Vec<u32>, "stamp");

fn main() {}
