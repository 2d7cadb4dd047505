//! The same in a filter that is one async function.

use proxy_filter::prelude::*;

#[proxy_filter::filter]
async fn stamp(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let value = request.get("x-b")?.unwrap_or_default();
    request.replace("x b", value)?;
    HttpCall::get("authz", "/check?a b").header("x a", "1").await?;
    exchange.response_headers().await?.replace("x-stämp", "1")
}

fn main() {}
