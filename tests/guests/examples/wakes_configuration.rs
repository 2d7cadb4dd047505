//! A filter whose streams wake each other, with a configuration.

use proxy_filter::prelude::*;

#[path = "wakes_common/mod.rs"]
mod common;

#[derive(serde::Deserialize)]
struct Config {}

#[proxy_filter::filter]
async fn wakes(exchange: Exchange<Config>) -> Result<()> {
    common::run(exchange).await
}
