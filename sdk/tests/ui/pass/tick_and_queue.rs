//! One root of a module has a tick, another a queue. The module has both. A root without one
//! ignores it.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused)]
#![forbid(unsafe_code)]

use proxy_filter::prelude::*;
use proxy_filter::timer;
use std::time::Duration;

#[derive(Default)]
struct Ticking;

#[proxy_filter::root(root_id = "ticking")]
impl RootContext for Ticking {
    type Context = Stream;

    fn on_configure(&mut self, _: Configuration) -> Result<()> {
        timer::set_tick_period(Duration::from_secs(1))
    }

    fn on_tick(&mut self) -> Result<()> {
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

#[derive(Default)]
struct Queueing;

#[proxy_filter::root(root_id = "queueing")]
impl RootContext for Queueing {
    type Context = Stream;

    fn on_queue_ready(&mut self, ready: &SharedQueue) -> Result<()> {
        ready.dequeue().map(drop)
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {}

proxy_filter::module!(Ticking, Queueing);

fn main() {
    let exports = __proxy_filter::module().exports;
    for name in ["proxy_on_tick", "proxy_on_queue_ready"] {
        assert!(exports.iter().any(|(export, _)| *export == name), "{name}");
    }
}
