//! A filter whose streams wake each other, with a root task.

use proxy_filter::prelude::*;
use std::rc::Rc;

#[path = "wakes_common/mod.rs"]
mod common;

#[derive(serde::Deserialize)]
struct Config {}

async fn nothing(_: Rc<Config>) -> Result<()> {
    std::future::pending().await
}

#[proxy_filter::filter(root_task = nothing)]
async fn wakes(exchange: Exchange<Config>) -> Result<()> {
    common::run(exchange).await
}
