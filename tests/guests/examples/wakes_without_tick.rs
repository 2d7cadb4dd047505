//! A filter whose streams wake each other, in a module without a tick.

use proxy_filter::prelude::*;

#[path = "wakes_common/mod.rs"]
mod common;

#[proxy_filter::filter(http_calls, response_headers)]
async fn wakes(exchange: Exchange) -> Result<()> {
    common::run(exchange).await
}
