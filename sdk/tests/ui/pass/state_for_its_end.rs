//! A context that wants to know its end needs contexts that are kept, unit struct or not.
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

#[proxy_filter::context]
impl Context for Stream {
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["proxy_abi_version_0_2_1", "_initialize", "proxy_on_context_create", "proxy_on_done", "proxy_on_delete"]
    );
}
