//! Asks an Open Policy Agent whether each request may pass, and remembers what it says for a while.
//!
//! ```json
//! {"cluster": "opa", "path": "/v1/data/http/allow", "ttl_s": 5}
//! ```

mod cache;
#[cfg(test)]
mod tests;

use cache::Cache;
use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the agent.
    cluster: ClusterName,
    /// The document of its data API that says `true` or `false`.
    path: RequestPath,
    /// How long an answer is good for.
    #[serde(default = "five")]
    ttl_s: u32,
    /// What was answered lately, to all streams.
    #[serde(skip)]
    cache: Cache<[u8; 32], bool>,
}

const fn five() -> u32 {
    5
}

/// The question to the agent: what the policy decides on, and all it gets to see.
#[derive(Serialize)]
struct Query<'a> {
    input: Input<'a>,
}

#[derive(Serialize)]
struct Input<'a> {
    method: &'a str,
    path: &'a str,
    authorization: Option<&'a str>,
}

/// The longest question. Requests keep theirs while they wait.
const LONGEST: usize = 16 * 1024;

/// `timers`: a request that leaves lets the next one ask, which runs at a tick.
#[proxy_filter::filter(http_calls, timers)]
async fn opa_authz(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    let Some(question) = question(request)? else {
        return exchange.reply(LocalReply::new(400).details("opa_no_text").body("not for a policy\n"));
    };
    if question.len() > LONGEST {
        return exchange.reply(LocalReply::new(431).details("opa_too_long").body("too long\n"));
    }
    // As long for each question: what is remembered is bounded in bytes.
    let key = Sha256::digest(&question).into();
    let ttl = Duration::from_secs(config.ttl_s.into());
    match config.cache.get(key, ttl, clock::now, async || ask(&config, question).await).await {
        Ok(true) => Ok(()),
        Ok(false) => exchange.reply(LocalReply::new(403).details("opa_denied").body("the policy says no\n")),
        Err(why) => {
            log::warn_limited!("no decision: {why}");
            exchange.reply(LocalReply::new(503).details("opa_no_decision").header("retry-after", "1"))
        }
    }
}

/// What the agent is asked. Policies decide on text and on one `authorization`, while the upstream gets all there are: a request with several
/// or with bytes that are not UTF-8 has no question.
fn question(request: &RequestHeaders) -> Result<Option<Vec<u8>>> {
    let (method, path) = (request.method()?.unwrap_or_default(), request.path()?.unwrap_or_default());
    let authorization = match request.get_single("authorization") {
        Err(error) if error.kind() == ErrorKind::Repeated => return Ok(None),
        authorization => authorization?,
    };
    let authorization = authorization.as_ref().map(HeaderValue::to_str).transpose();
    let (Ok(method), Ok(path), Ok(authorization)) = (method.to_str(), path.to_str(), authorization) else {
        return Ok(None);
    };
    Ok(Some(serde_json::to_vec(&Query { input: Input { method, path, authorization } })?))
}

/// The agent's decision. A policy that is not defined has none, and denies.
async fn ask(config: &Config, question: Vec<u8>) -> Result<bool> {
    #[derive(Deserialize)]
    struct Decision {
        #[serde(default)]
        result: bool,
    }
    let call = HttpCall::post(&config.cluster, &config.path)
        .header("content-type", "application/json")
        .body(question)
        .timeout(Duration::from_millis(500));
    let answer = call.await?;
    match answer.status() {
        200 => {
            let decision: Decision = serde_json::from_slice(&answer.body()?).map_err(|_| Error::other(NO_DECISION))?;
            Ok(decision.result)
        }
        // The agent does not take the question, which is the client's.
        status @ 400..=499 => {
            log::info!("the agent answered {status}");
            Ok(false)
        }
        status => Err(Error::other(format_args!("the agent answered {status}"))),
    }
}

const NO_DECISION: &str = "the agent's answer is neither true nor false";
