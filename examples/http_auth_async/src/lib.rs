//! Calls an authorization service for every request, as `http_auth_callout` does, but in one async
//! function.
//!
//! ```json
//! {"cluster": "authz", "path": "/check", "timeout_ms": 200, "on_outage": "deny"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{ClusterName, HeaderName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{callout::HttpCallResponse, log};
use serde::Deserialize;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: ClusterName,
    /// The path of the call; default `/check`.
    path: Option<RequestPath>,
    /// The maximum time for the response, in milliseconds.
    #[serde(default = "timeout")]
    timeout_ms: u64,
    /// The request headers that the service receives. Headers about the message, for example
    /// `content-length`, are never sent.
    #[serde(default = "authorization")]
    headers: Vec<HeaderName>,
    /// The maximum number of bytes that the service receives of a request. Some services close the
    /// connection if a request is too large for them, which looks like an outage.
    #[serde(default = "seven_kib")]
    max_bytes: usize,
    /// The policy while the service is down.
    #[serde(default)]
    on_outage: Outage,
}

const fn timeout() -> u64 {
    200
}

fn authorization() -> Vec<HeaderName> {
    HeaderName::new("authorization").into_iter().collect()
}

/// Most services accept 8 KiB, including the headers that Envoy adds.
const fn seven_kib() -> usize {
    7 * 1024
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outage {
    /// The client gets 503.
    #[default]
    Deny,
    /// The request is forwarded without a user.
    Allow,
}

#[proxy_filter::filter]
async fn http_auth_async(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-user")?; // only the authorization service names the user
    let call: Option<HttpCall> = question(&config, request)?;
    let Some(call) = call else {
        return exchange.reply(LocalReply::new(431).details("authz_too_long").body("too long\n"));
    };
    // A failure that a client can provoke is not an outage.
    match call.await.and_then(HttpCallResponse::outage_for_status) {
        Ok(answer) if answer.status() == 200 => {
            answer.header("x-user")?.map_or(Ok(()), |user| request.replace("x-user", user))
        }
        Ok(answer) if matches!(answer.status(), 401 | 403) => exchange.reply(refusal(&answer)?),
        Ok(answer) => {
            log::info!("the authorization service responded with {}", answer.status());
            exchange.reply(LocalReply::new(403).details("authz_denied"))
        }
        Err(CalloutError::Refused(why)) => {
            log::info!("the authorization service was not called: {why}");
            exchange.reply(LocalReply::new(403).details("authz_not_asked"))
        }
        Err(CalloutError::Outage(why)) => {
            log::warn_limited!("the authorization service is unavailable: {why}");
            match config.on_outage {
                Outage::Allow => Ok(()),
                Outage::Deny => exchange.reply(unavailable()),
            }
        }
    }
}

fn unavailable() -> LocalReply {
    LocalReply::new(503).header("retry-after", "1").details("authz_outage").body("try again in a second\n")
}

/// Builds the call to the service. `None` if it would be too large.
fn question(config: &Config, request: &RequestHeaders) -> Result<Option<HttpCall>> {
    let (method, path) = (request.method()?.unwrap_or_default(), request.path()?.unwrap_or_default());
    let fields = request.pairs()?;
    let is_shown = |name: &[u8]| config.headers.iter().any(|shown| shown.as_bytes().eq_ignore_ascii_case(name));
    // All values, as the upstream gets them: the service decides which one counts.
    let shown = fields.iter().filter(|(name, _)| is_shown(name));
    let bytes: usize = shown.clone().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = bytes + method.len() + path.len();
    let call = HttpCall::get(&config.cluster, config.path.as_deref().unwrap_or("/check"))
        .header("x-original-method", method)
        .header("x-original-path", path)
        .headers_from(shown)
        .timeout(Duration::from_millis(config.timeout_ms));
    Ok((bytes <= config.max_bytes).then_some(call))
}

/// Returns the service's refusal for the client: its status, challenges and body, with the type and
/// the encoding of the body.
fn refusal(answer: &HttpCallResponse) -> Result<LocalReply> {
    let fields = answer.headers()?;
    let relayed = fields.iter().filter(|(name, _)| RELAYED.contains(name));
    let reply = LocalReply::new(answer.status()).details("authz_denied").body(answer.body()?);
    Ok(relayed.fold(reply, |reply, (name, value)| reply.header(name, value)))
}

const RELAYED: [&[u8]; 3] = [b"www-authenticate", b"content-type", b"content-encoding"];
