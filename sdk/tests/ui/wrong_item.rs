use proxy_filter::prelude::*;

#[proxy_filter::context]
struct Stamped;

#[proxy_filter::root]
#[derive(Default)]
pub(crate) struct Stamp;

#[proxy_filter::context]
pub async fn on_request_headers() {}

#[proxy_filter::context]
impl Stamped {
    fn _helper(&self) {}
}

#[proxy_filter::root]
impl Clone for Stamped {
    fn clone(&self) -> Self {
        Stamped
    }
}

#[proxy_filter::root]
impl Context for Stamped {}

#[proxy_filter::context]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

impl proxy_filter::__private::Callbacks for Stamped {
    type Kind = proxy_filter::__private::Http;
    const SET: proxy_filter::__private::CallbackSet = proxy_filter::__private::CallbackSet::EMPTY;
}

fn main() {}
