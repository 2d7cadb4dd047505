use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::filter]
impl RootContext for Stamp {}

fn main() {}
