//! Calls the authorization server for each bearer token (RFC 7662), and caches its response until
//! the token expires.
//!
//! ```json
//! {"cluster": "idp", "path": "/introspect", "client_id": "gateway", "client_secret": "s3cr3t", "scope": "orders"}
//! ```

mod facts;
mod introspection;
#[cfg(test)]
mod tests;

use facts::Facts;
use introspection::Introspection;
use proxy_filter::callout::HttpCallResponse;
use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use proxy_filter_kit::request::{Credentials, basic, percent_encode};
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization server.
    cluster: ClusterName,
    /// Its introspection endpoint.
    path: RequestPath,
    /// The credentials of this filter.
    client_id: String,
    client_secret: String,
    /// The word that a token's scope must contain, if any.
    #[serde(default)]
    scope: Option<String>,
    /// The maximum time in the cache, in seconds. A revoked token remains valid for that time.
    #[serde(default = "minute")]
    ttl_s: u32,
    /// Cached results, shared by all streams.
    #[serde(skip)]
    facts: Facts,
}

const fn minute() -> u32 {
    60
}

/// The maximum length of a token that is sent to the server.
const LONGEST_TOKEN: usize = 8192;

#[proxy_filter::filter]
async fn oauth2_introspection(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-subject")?; // only this filter may set the subject
    let authorization = match request.get_single("authorization") {
        Err(error) if error.kind() == ErrorKind::Repeated => {
            return exchange.reply(refusal(400, "invalid_request")); // the upstream might use the other one
        }
        authorization => authorization?.unwrap_or_default(),
    };
    let credentials = Credentials::parse(&authorization).filter(|credentials| credentials.is("Bearer"));
    let Some(token) = credentials.map(|credentials| credentials.value()) else {
        return exchange.reply(LocalReply::new(401).header("www-authenticate", "Bearer").details("no_token"));
    };
    if token.len() > LONGEST_TOKEN || !token.iter().all(u8::is_ascii_graphic) {
        return exchange.reply(refusal(401, "invalid_token")); // no server issues such a token
    }
    let found = match config.facts.get(token, since_1970()?) {
        Some(found) => Ok(found),
        None => match introspection(&config, token)?.await {
            Ok(response) => read(&config, token, &response),
            Err(error) => Err(error.into()),
        },
    };
    match found {
        Ok(found) if !found.active => exchange.reply(refusal(401, "invalid_token")),
        Ok(found) if !found.covers => exchange.reply(refusal(403, "insufficient_scope")),
        Ok(found) => request.replace("x-subject", found.subject),
        Err(why) => {
            log::warn_limited!("no introspection: {why}");
            exchange.reply(LocalReply::new(503).header("retry-after", "1").details("no_introspection"))
        }
    }
}

fn since_1970() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn refusal(status: u16, error: &'static str) -> LocalReply {
    LocalReply::new(status).header("www-authenticate", format!("Bearer error=\"{error}\"")).details(error)
}

/// Builds the call to the server for a token.
fn introspection(config: &Config, token: &[u8]) -> Result<HttpCall> {
    // RFC 6749, section 2.3.1: both are encoded as in a form.
    let (id, secret) = (percent_encode(config.client_id.as_bytes()), percent_encode(config.client_secret.as_bytes()));
    let authorization = basic(id, secret).ok_or_else(|| Error::other("the credentials have no encoding"))?;
    Ok(HttpCall::post(&config.cluster, &config.path)
        .header("authorization", authorization)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(["token=", &percent_encode(token), "&token_type_hint=access_token"].concat())
        .timeout(Duration::from_millis(500)))
}

/// Reads the server's response for a token, and caches the result until the token expires.
fn read(config: &Config, token: &[u8], response: &HttpCallResponse) -> Result<Introspection> {
    match response.status() {
        200 => {}
        // The server cannot read the token.
        400 | 413 => return Ok(Introspection::default()),
        status => return Err(Error::other(format_args!("the authorization server responded with {status}"))),
    }
    let now = since_1970()?;
    let (found, remaining) = Introspection::read(&response.body()?, config.scope.as_deref(), now)?;
    let until = now + remaining.min(Duration::from_secs(config.ttl_s.into()));
    config.facts.insert(token, found.clone(), now, until);
    Ok(found)
}
