//! A filter whose streams wake each other, with timers.

use proxy_filter::prelude::*;

#[path = "wakes_common/mod.rs"]
mod common;

#[proxy_filter::filter]
async fn wakes(exchange: Exchange) -> Result<()> {
    common::run(exchange).await
}
