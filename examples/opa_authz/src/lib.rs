//! Calls an Open Policy Agent for each request, and caches its decisions.
//!
//! ```json
//! {"cluster": "opa", "path": "/v1/data/http/allow", "ttl_s": 5}
//! ```

mod decisions;
#[cfg(test)]
mod tests;

use decisions::Decisions;
use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the agent.
    cluster: ClusterName,
    /// The document of its data API with the value `true` or `false`.
    path: RequestPath,
    /// The time for which a decision is valid, in seconds.
    #[serde(default = "five")]
    ttl_s: u32,
    /// Cached decisions, shared by all streams.
    #[serde(skip)]
    decisions: Decisions<[u8; 32], bool>,
}

const fn five() -> u32 {
    5
}

/// The input of the policy.
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

/// The maximum length of an input. Paused requests store theirs.
const LONGEST: usize = 16 * 1024;

#[proxy_filter::filter]
async fn opa_authz(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    let Some(question) = question(request)? else {
        return exchange.reply(
            LocalReply::new(400).details("opa_no_text").body("the policy accepts only text and one authorization\n"),
        );
    };
    if question.len() > LONGEST {
        return exchange.reply(LocalReply::new(431).details("opa_too_long").body("too long\n"));
    }
    // All keys have the same length, so the cache is limited in bytes.
    let key = Sha256::digest(&question).into();
    let ttl = Duration::from_secs(config.ttl_s.into());
    match config.decisions.get(key, ttl, since_1970, async || ask(&config, question).await).await {
        Ok(true) => Ok(()),
        Ok(false) => exchange.reply(LocalReply::new(403).details("opa_denied").body("the policy says no\n")),
        Err(why) => {
            log::warn_limited!("no decision: {why}");
            exchange.reply(LocalReply::new(503).details("opa_no_decision").header("retry-after", "1"))
        }
    }
}

fn since_1970() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Builds the input. Policies decide about text and about one `authorization`, while the upstream
/// gets all values. `None` for a request with several, or with bytes that are not UTF-8.
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

/// Returns the agent's decision. A policy that is not defined denies.
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
        // The agent rejects the input, which a client can choose.
        status @ 400..=499 => {
            log::info!("the agent responded with {status}");
            Ok(false)
        }
        status => Err(Error::other(format_args!("the agent responded with {status}"))),
    }
}

const NO_DECISION: &str = "the agent's response is neither true nor false";
