//! Signs each request with the time and a nonce: in a header, in the log and in the response's
//! body.

use proxy_filter::prelude::*;
use proxy_filter::{clock, random};
use std::time::UNIX_EPOCH;

#[proxy_filter::filter]
async fn sign(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let seconds = clock::now()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let nonce = random::u64()?;
    request.replace("x-time", seconds.to_string())?;
    request.replace("x-nonce", format!("{nonce:x}"))?;
    log::info!("signed: time={seconds}, nonce={nonce:x}");
    let response = exchange.response_headers().await?;
    response.add("x-signed", "1")?;
    Ok(())
}
