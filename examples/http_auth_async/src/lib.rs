//! Asks an authorization service about every request, as `http_auth_callout` does, but as one async function.
//!
//! ```json
//! {"cluster": "authz", "path": "/check", "timeout_ms": 200, "on_outage": "deny"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter::{HttpAnswer, log};
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: String,
    /// What is asked for there.
    #[serde(default = "check")]
    path: String,
    /// How long a request waits for the answer.
    #[serde(default = "timeout")]
    timeout_ms: u64,
    /// What happens to a request about which nobody can be asked.
    #[serde(default)]
    on_outage: Outage,
}

fn check() -> String {
    "/check".to_owned()
}

const fn timeout() -> u64 {
    200
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
    let config = Rc::clone(exchange.config());
    let request = exchange.request_headers().await?;
    request.remove("x-user")?; // nobody but the authorization service says who the user is
    let why = match question(&config, request)?.await {
        Ok(answer) if answer.status() == 200 => {
            return answer.header("x-user").map_or(Ok(()), |user| request.replace("x-user", user));
        }
        Ok(answer) if [401, 403].contains(&answer.status()) => return exchange.reply(refusal(answer)),
        Ok(answer) => format!("it answered {}", answer.status()),
        Err(why) => why.to_string(),
    };
    log::warn!("the authorization service is of no help: {why}");
    let reply = LocalReply::new(503).header("retry-after", "1").details("authz_outage").body("try again in a second\n");
    match config.on_outage {
        Outage::Allow => Ok(()),
        Outage::Deny => exchange.reply(reply),
    }
}

/// What the service is asked.
fn question(config: &Config, request: &RequestHeaders) -> Result<HttpCall> {
    let call = HttpCall::get(&config.cluster, &config.path)
        .header("x-original-method", request.method()?.unwrap_or_default())
        .header("x-original-path", request.path()?.unwrap_or_default())
        .timeout(Duration::from_millis(config.timeout_ms));
    Ok(match request.get("authorization")? {
        Some(authorization) => call.header("authorization", authorization),
        None => call,
    })
}

/// The service's refusal, as the client gets it: its status, its challenge, its body.
fn refusal(answer: HttpAnswer) -> LocalReply {
    let reply = LocalReply::new(answer.status()).details("authz_denied");
    let reply = match answer.header("www-authenticate") {
        Some(challenge) => reply.header("www-authenticate", challenge),
        None => reply,
    };
    reply.body(answer.into_body())
}
