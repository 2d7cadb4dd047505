//! Calls an authorization service for every request, in one async function. A request is refused if
//! the call fails.

#[cfg(test)]
mod tests;

use proxy_filter::callout::HttpCallResponse;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: String,
    path: String,
    timeout_ms: u64,
}

#[proxy_filter::filter]
async fn authorize(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    // Only the authorization service names the user.
    request.remove("x-user")?;
    let call = HttpCall::get(&config.cluster, &config.path)
        .header("authorization", request.get("authorization")?.unwrap_or_default())
        .timeout(Duration::from_millis(config.timeout_ms));
    // The request is paused. If the client disconnects, the future is dropped here.
    match call.await.and_then(HttpCallResponse::outage_for_status) {
        Ok(response) if response.status() == 200 => {
            response.header("x-user")?.map_or(Ok(()), |user| request.replace("x-user", user))
        }
        Ok(_) | Err(CalloutError::Refused(_)) => exchange.reply(LocalReply::new(403).details("authz_denied")),
        Err(_) => exchange.reply(LocalReply::new(503).header("retry-after", "1").details("authz_outage")),
    }
}
