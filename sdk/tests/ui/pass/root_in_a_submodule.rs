//! A root need not be in the crate root, nor be visible from there. These names are not special.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

mod filter {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    struct Root;

    #[proxy_filter::root()]
    impl RootContext for Root {
        type Context = super::Stream;

        fn on_configure(&mut self, _: Configuration) -> Result<()> {
            Ok(())
        }

        fn new_context(&self) -> super::Stream {
            super::Stream
        }
    }
}

struct Stream;

#[proxy_filter::context]
impl proxy_filter::prelude::Context for Stream {}

fn main() {}
