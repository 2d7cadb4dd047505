use proxy_filter::prelude::*;

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        Ok(())
    }
}

fn main() {}
