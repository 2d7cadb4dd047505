//! A filter that waits for everything, with short names for its types.

use proxy_filter::prelude::*;

#[derive(Default)]
struct R;

#[proxy_filter::root(http_calls, timers, grpc_calls, grpc_streams)]
impl RootContext for R {
    type Context = S;

    fn new_context(&self) -> S {
        S
    }
}

struct S;

struct M;

#[proxy_filter::context(grpc_streams, grpc_calls, timers, http_calls)]
impl Context for S {
    fn on_create(&mut self) -> Result<()> {
        let _ = M;
        Ok(())
    }
}

fn main() {}
