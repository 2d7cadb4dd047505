//! A root context that waits for an answer has to be there when it comes, unit struct or not.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root(http_calls)]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "proxy_abi_version_0_2_1",
            "_initialize",
            "proxy_on_context_create",
            "proxy_on_delete",
            "proxy_on_http_call_response",
        ]
    );
}
