//! A function that awaits a call which another function makes, and names its type.

use proxy_filter::prelude::*;

#[proxy_filter::filter]
async fn named(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let call: Result<Option<HttpCall>> = question(request);
    let Some(call) = call? else { return Ok(()) };
    request.replace("x-status", call.await?.status().to_string())
}

fn question(request: &RequestHeaders) -> Result<Option<HttpCall>> {
    Ok(request.path()?.map(|path| HttpCall::get("service", "/").header("x-path", path)))
}
