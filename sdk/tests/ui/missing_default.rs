use proxy_filter::prelude::*;

struct Stamp {
    _configuration: Configuration,
}

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        Ok(())
    }
}

fn main() {}
