//! Asks the authorization server about each bearer token (RFC 7662), and remembers what it says until the token expires.
//!
//! ```json
//! {"cluster": "idp", "path": "/introspect", "client_id": "gateway", "client_secret": "s3cr3t", "scope": "orders"}
//! ```

mod cache;
#[cfg(test)]
mod tests;

use base64ct::{Base64, Encoding};
use cache::Cache;
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::Deserialize;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What the operator configures.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization server.
    cluster: String,
    /// Its introspection endpoint.
    path: String,
    /// Who asks.
    client_id: String,
    client_secret: String,
    /// What a token must be good for, if anything.
    #[serde(default)]
    scope: Option<String>,
    /// The longest time for which an answer is remembered: a token that is revoked is good for as long.
    #[serde(default = "minute")]
    ttl_s: u32,
    /// What was answered lately, to all streams.
    #[serde(skip)]
    cache: Cache,
}

const fn minute() -> u32 {
    60
}

/// What the authorization server says about a token.
#[derive(Clone, Debug, Default, Deserialize)]
struct Introspection {
    active: bool,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    scope: String,
    exp: Option<u64>,
}

#[proxy_filter::filter(http_calls)]
async fn oauth2_introspection(mut exchange: Exchange<Config>) -> Result<()> {
    let config = Rc::clone(exchange.config());
    let request = exchange.request_headers().await?;
    request.remove("x-subject")?; // nobody but this filter says whose the token is
    let authorization = request.get("authorization")?.unwrap_or_default();
    let Some(token) = bearer(&authorization) else {
        return exchange.reply(LocalReply::new(401).header("www-authenticate", "Bearer").details("no_token"));
    };
    let found = match config.cache.get(token, clock::now()?) {
        Some(found) => Ok(found),
        None => introspect(&config, token).await,
    };
    match found {
        Ok(found) if !found.active => exchange.reply(refusal(401, "invalid_token")),
        Ok(found) if !covers(&found.scope, config.scope.as_deref()) => {
            exchange.reply(refusal(403, "insufficient_scope"))
        }
        Ok(found) => request.replace("x-subject", found.sub),
        Err(why) => {
            log::warn!("no introspection: {why}");
            exchange.reply(LocalReply::new(503).header("retry-after", "1").details("no_introspection"))
        }
    }
}

/// The token in `Bearer …`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Whether a scope, a list of words, has the word that is needed.
fn covers(scope: &str, needed: Option<&str>) -> bool {
    needed.is_none_or(|needed| scope.split(' ').any(|word| word == needed))
}

fn refusal(status: u16, error: &'static str) -> LocalReply {
    LocalReply::new(status).header("www-authenticate", format!("Bearer error=\"{error}\"")).details(error)
}

/// Asks about a token, and remembers the answer until the token expires.
async fn introspect(config: &Config, token: &[u8]) -> Result<Introspection> {
    let credentials = [form(config.client_id.as_bytes()), form(config.client_secret.as_bytes())].join(":");
    let answer = HttpCall::post(&config.cluster, &config.path)
        .header("authorization", ["Basic ", &Base64::encode_string(credentials.as_bytes())].concat())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(["token=", &form(token), "&token_type_hint=access_token"].concat())
        .timeout(Duration::from_millis(500))
        .await?;
    if answer.status() != 200 {
        return Err(Error::other(format_args!("the authorization server answered {}", answer.status())));
    }
    let mut found: Introspection = serde_json::from_slice(answer.body())?;
    let now = clock::now()?;
    let longest = now + Duration::from_secs(config.ttl_s.into());
    let expiry = found.exp.and_then(|exp| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp)));
    found.active &= expiry.is_none_or(|expiry| now < expiry);
    // A token that is not active never will be.
    let until = if found.active { expiry.map_or(longest, |expiry| expiry.min(longest)) } else { longest };
    config.cache.insert(token, found.clone(), now, until);
    Ok(found)
}

/// Bytes as a form has them.
fn form(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            // Text has room for everything.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}
