use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root]
impl RootContext for Stamp {
    type Context = Stamped;
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        Ok(())
    }
}

fn main() {}
