//! Functions that read every chunk of a request: one that lets it pass where it cannot, and one
//! that awaits nothing of the response.

use proxy_filter::prelude::*;

/// Lets pass what it cannot read.
#[proxy_filter::filter(root_id = "open", fail_open)]
pub async fn open(mut exchange: Exchange) -> Result<()> {
    while exchange.request_chunk().await?.is_some() {}
    log::info!("the end");
    exchange.response_headers().await?.add("x-scanned", "1")
}

/// Has no callback of the response.
#[proxy_filter::filter(root_id = "request_only")]
pub async fn request_only(mut exchange: Exchange) -> Result<()> {
    let mut bytes = Vec::new();
    while let Some(chunk) = exchange.request_chunk().await? {
        bytes.extend(chunk.to_bytes()?);
    }
    log::info!("scanned: {}", escaped(&bytes));
    Ok(())
}

proxy_filter::module!(Open, RequestOnly);
