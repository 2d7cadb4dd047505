//! Adds a UUID, and a number below 1,000 from `rand`, to requests. `random.rs` builds a package
//! from this file.

use proxy_filter::prelude::*;
use rand::RngExt;
use uuid::Uuid;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        request.add("x-id", Uuid::new_v4().to_string())?;
        request.add("x-draw", rand::rng().random_range(0..1_000).to_string())?;
        Ok(FilterHeadersStatus::Continue)
    }
}
