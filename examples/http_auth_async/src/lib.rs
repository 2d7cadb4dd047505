//! Asks an authorization service about every request, as `http_auth_callout` does, but as one async function.
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

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: ClusterName,
    /// What is asked for there; `/check` by default.
    path: Option<RequestPath>,
    /// How long a request waits for the answer.
    #[serde(default = "timeout")]
    timeout_ms: u64,
    /// The headers that the service is shown. Those about the message, `content-length` for example, are left out whatever this says.
    #[serde(default = "authorization")]
    headers: Vec<HeaderName>,
    /// The most bytes of a request that the service is shown. Some services close the connection if it is too much for them, and look as if
    /// they were down.
    #[serde(default = "seven_kib")]
    max_bytes: usize,
    /// What happens to a request about which nobody can be asked.
    #[serde(default)]
    on_outage: Outage,
}

const fn timeout() -> u64 {
    200
}

fn authorization() -> Vec<HeaderName> {
    HeaderName::new("authorization").into_iter().collect()
}

/// Most services take 8 KiB, with what Envoy adds.
const fn seven_kib() -> usize {
    7 * 1024
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outage {
    /// 503.
    #[default]
    Deny,
    /// It passes, without a user.
    Allow,
}

#[proxy_filter::filter(http_calls)]
async fn http_auth_async(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-user")?; // nobody but the authorization service says who the user is
    let Some(question) = question(&config, request)? else {
        return exchange.reply(LocalReply::new(431).details("authz_too_long").body("too long\n"));
    };
    // What a client can provoke is no outage.
    match question.await.and_then(HttpCallResponse::outage_for_status) {
        Ok(answer) if answer.status() == 200 => {
            answer.header("x-user")?.map_or(Ok(()), |user| request.replace("x-user", user))
        }
        Ok(answer) if matches!(answer.status(), 401 | 403) => exchange.reply(refusal(&answer)?),
        Ok(answer) => {
            log::info!("the authorization service answered {}", answer.status());
            exchange.reply(LocalReply::new(403).details("authz_denied"))
        }
        Err(CalloutError::Refused(why)) => {
            log::info!("the authorization service was not asked: {why}");
            exchange.reply(LocalReply::new(403).details("authz_not_asked"))
        }
        Err(CalloutError::Outage(why)) => {
            log::warn_limited!("the authorization service is of no help: {why}");
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

/// What the service is asked: none if it is too long.
fn question(config: &Config, request: &RequestHeaders) -> Result<Option<HttpCall>> {
    let (method, path) = (request.method()?.unwrap_or_default(), request.path()?.unwrap_or_default());
    let fields = request.pairs()?;
    let is_shown = |name: &[u8]| config.headers.iter().any(|shown| shown.as_bytes().eq_ignore_ascii_case(name));
    // Every value, as the upstream gets them: the service decides which one counts.
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

/// The service's refusal, as the client gets it: its status, its challenges, its body and what that is.
fn refusal(answer: &HttpCallResponse) -> Result<LocalReply> {
    let fields = answer.headers()?;
    let relayed = fields.iter().filter(|(name, _)| RELAYED.contains(name));
    let reply = LocalReply::new(answer.status()).details("authz_denied").body(answer.body()?);
    Ok(relayed.fold(reply, |reply, (name, value)| reply.header(name, value)))
}

const RELAYED: [&[u8]; 3] = [b"www-authenticate", b"content-type", b"content-encoding"];
