use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

macro_rules! log {
    () => {
        fn on_log(&mut self, _: &LogContext) -> Result<()> {
            Ok(())
        }
    };
}

#[proxy_filter::context]
impl Context for Stamped {
    log!();

    #[cfg(debug_assertions)]
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    /// A lint that depends on a feature is fine.
    #[cfg_attr(debug_assertions, allow(unused))]
    #[cfg_attr(debug_assertions, cfg(debug_assertions))]
    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    #[cfg(not(debug_assertions))]
    fn failure_policy(&self) -> FailurePolicy {
        unimplemented!()
    }
}

fn main() {}
