//! Braces in `new_context` keep contexts, which a context with a destructor needs.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Guard;

    fn new_context(&self) -> Guard {
        Guard {}
    }
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {}
}

#[proxy_filter::context]
impl Context for Guard {}

fn main() {
    let names: Vec<_> = crate::__proxy_filter::module().exports.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["proxy_abi_version_0_2_1", "_initialize", "proxy_on_context_create", "proxy_on_delete"]);
}
