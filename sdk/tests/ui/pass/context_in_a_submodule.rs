//! The stream context has a module of its own. Its root names it by path.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = streams::Stamped;

    fn new_context(&self) -> streams::Stamped {
        streams::Stamped
    }
}

mod streams {
    use proxy_filter::prelude::*;

    pub(crate) struct Stamped;

    #[proxy_filter::context]
    impl Context for Stamped {
        fn on_log(&mut self, _: &LogContext) -> Result<()> {
            Ok(())
        }
    }
}

fn main() {
    let _ = crate::__proxy_filter::module();
}
