//! Calls the authorization server for each bearer token (RFC 7662), and caches its response until
//! the token expires.
//!
//! ```json
//! {"cluster": "idp", "path": "/introspect", "client_id": "gateway", "client_secret": "s3cr3t", "scope": "orders"}
//! ```

mod cache;
mod introspection;
#[cfg(test)]
mod tests;

use base64ct::{Base64, Encoding};
use cache::Cache;
use introspection::Introspection;
use proxy_filter::callout::HttpCallResponse;
use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use serde::Deserialize;
use std::fmt::Write;
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
    cache: Cache,
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
    let Some(token) = bearer(&authorization) else {
        return exchange.reply(LocalReply::new(401).header("www-authenticate", "Bearer").details("no_token"));
    };
    if token.len() > LONGEST_TOKEN || !token.iter().all(u8::is_ascii_graphic) {
        return exchange.reply(refusal(401, "invalid_token")); // no server issues such a token
    }
    let found = if let Some(found) = config.cache.get(token, clock::now()?) {
        Ok(found)
    } else {
        let call: HttpCall = introspection(&config, token);
        let response = call.await;
        response.map_err(Error::from).and_then(|response| read(&config, token, &response))
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

/// Returns the token in `Bearer …`: the scheme in any case, then one or more spaces (RFC 9110,
/// section 11.4).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).filter(|token| spaces > 0 && !token.is_empty())?;
    scheme.eq_ignore_ascii_case(b"Bearer").then_some(token)
}

fn refusal(status: u16, error: &'static str) -> LocalReply {
    LocalReply::new(status).header("www-authenticate", format!("Bearer error=\"{error}\"")).details(error)
}

/// Builds the call to the server for a token.
fn introspection(config: &Config, token: &[u8]) -> HttpCall {
    let credentials = [form(config.client_id.as_bytes()), form(config.client_secret.as_bytes())].join(":");
    HttpCall::post(&config.cluster, &config.path)
        .header("authorization", ["Basic ", &Base64::encode_string(credentials.as_bytes())].concat())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(["token=", &form(token), "&token_type_hint=access_token"].concat())
        .timeout(Duration::from_millis(500))
}

/// Reads the server's response for a token, and caches the result until the token expires.
fn read(config: &Config, token: &[u8], response: &HttpCallResponse) -> Result<Introspection> {
    match response.status() {
        200 => {}
        // The server cannot read the token.
        400 | 413 => return Ok(Introspection::default()),
        status => return Err(Error::other(format_args!("the authorization server responded with {status}"))),
    }
    let now = clock::now()?;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (found, remaining) = Introspection::read(&response.body()?, config.scope.as_deref(), since_1970)?;
    let until = now + remaining.min(Duration::from_secs(config.ttl_s.into()));
    config.cache.insert(token, found.clone(), now, until);
    Ok(found)
}

/// Encodes bytes for a form.
fn form(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            // Writing to a `String` does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}
