//! An async filter whose call has a time limit.

use proxy_filter::prelude::*;
use std::time::Duration;

#[proxy_filter::filter]
async fn time_limit(mut exchange: Exchange) -> Result<()> {
    exchange.request_headers().await?;
    HttpCall::get("service", "/").timeout(Duration::from_secs(1)).await?;
    Ok(())
}
