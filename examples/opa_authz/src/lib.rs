//! Asks an Open Policy Agent whether each request may pass, and remembers what it says for a while.
//!
//! ```json
//! {"cluster": "opa", "path": "/v1/data/http/allow", "ttl_s": 5}
//! ```

mod cache;
#[cfg(test)]
mod tests;

use cache::Cache;
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the agent.
    cluster: String,
    /// The document of its data API that says `true` or `false`.
    path: String,
    /// How long an answer is good for.
    #[serde(default = "five")]
    ttl_s: u32,
    /// What was answered lately, to all streams.
    #[serde(skip)]
    cache: Cache<Input, bool>,
}

const fn five() -> u32 {
    5
}

/// What the policy decides on, and all it gets to see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Input {
    method: String,
    path: String,
    authorization: Option<String>,
}

/// `timers`: a request that leaves lets the next one ask, which runs at a tick.
#[proxy_filter::filter(http_calls, timers)]
async fn opa_authz(mut exchange: Exchange<Config>) -> Result<()> {
    let config = Rc::clone(exchange.config());
    let request = exchange.request_headers().await?;
    // What is not UTF-8 is not what a policy expects: the request is refused.
    let text = |value: Option<HeaderValue>| value.map(|value| String::from_utf8(value.into_bytes())).transpose();
    let input = Input {
        method: text(request.method()?)?.unwrap_or_default(),
        path: text(request.path()?)?.unwrap_or_default(),
        authorization: text(request.get("authorization")?)?,
    };
    let ttl = Duration::from_secs(config.ttl_s.into());
    match config.cache.get(input.clone(), ttl, clock::now, async || ask(&config, &input).await).await {
        Ok(true) => Ok(()),
        Ok(false) => exchange.reply(LocalReply::new(403).details("opa_denied").body("the policy says no\n")),
        Err(why) => {
            log::warn!("no decision: {why}");
            exchange.reply(LocalReply::new(503).details("opa_no_decision").header("retry-after", "1"))
        }
    }
}

/// The agent's decision. A policy that is not defined has none, and denies.
async fn ask(config: &Config, input: &Input) -> Result<bool> {
    #[derive(Serialize)]
    struct Query<'a> {
        input: &'a Input,
    }
    #[derive(Deserialize)]
    struct Decision {
        #[serde(default)]
        result: bool,
    }
    let call = HttpCall::post(&config.cluster, &config.path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&Query { input })?)
        .timeout(Duration::from_millis(500));
    let answer = call.await?;
    if answer.status() != 200 {
        return Err(Error::other(format_args!("the agent answered {}", answer.status())));
    }
    Ok(serde_json::from_slice::<Decision>(answer.body())?.result)
}
