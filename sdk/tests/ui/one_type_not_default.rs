use proxy_filter::prelude::*;

struct Stamp {
    _count: u32,
}

#[proxy_filter::filter]
impl Context for Stamp {
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
