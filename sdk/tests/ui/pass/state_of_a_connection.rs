//! The contexts of connections are kept, also those that only log.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

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

#[proxy_filter::stream_context]
impl StreamContext for Stream {
    fn on_log(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    let expected = [
        "proxy_abi_version_0_2_1",
        "_initialize",
        "proxy_on_context_create",
        // It refuses requests: the plugin belongs into another chain.
        "proxy_on_request_headers",
        "proxy_on_log",
        "proxy_on_delete",
    ];
    assert_eq!(names, expected);
}
