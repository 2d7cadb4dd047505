//! Calls a service for every request, in one async function: a user for the upstream, or 403.

use proxy_filter::prelude::*;

#[proxy_filter::filter]
async fn authorize(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let authorization = request.get("authorization")?.unwrap_or_default();
    match HttpCall::get("authz", "/check").header("authorization", authorization).await {
        Ok(answer) if answer.status() == 200 => request.replace("x-user", answer.header("x-user")?.unwrap_or_default()),
        _ => exchange.reply(LocalReply::new(403).body("denied\n")),
    }
}
