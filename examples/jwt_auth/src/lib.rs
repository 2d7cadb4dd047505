//! Forwards requests with a valid JSON Web Token, and sends its subject to the upstream. The keys
//! come from a JWKS that is fetched periodically.
//!
//! ```json
//! {"jwks": {"cluster": "idp", "path": "/jwks.json"}, "issuer": "https://idp.example", "audience": "api"}
//! ```

mod keys;
#[cfg(test)]
mod tests;
mod token;

use keys::{Jwks, Keys};
use proxy_filter::prelude::*;
use proxy_filter::timer::retry;
use proxy_filter::{clock, log, timer::Interval};
use serde::Deserialize;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use token::{Refusal, Token};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The location of the keys.
    jwks: Jwks,
    /// The required issuer of a token.
    issuer: String,
    /// The required audience of a token.
    audience: String,
    /// The accepted difference between the clocks of the issuer and the proxy, in seconds.
    #[serde(default = "minute")]
    leeway_s: u32,
    /// The keys, shared by all streams.
    #[serde(skip)]
    keys: Keys,
}

const fn minute() -> u32 {
    60
}

#[proxy_filter::filter(configure = fetch_keys, root_task = refresh_keys)]
async fn jwt_auth(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-subject")?; // only this filter may set the subject
    let authorization = request.get("authorization")?.unwrap_or_default();
    match check(&config, &authorization).await? {
        Ok(subject) => {
            request.replace("x-subject", subject)?;
            request.remove("authorization")
        }
        Err(refusal) => {
            log::info!("refused: {}", refusal.reason());
            exchange.reply(refusal.reply())
        }
    }
}

/// Returns the subject of a valid `authorization`, or the reason of the refusal.
async fn check(config: &Config, authorization: &[u8]) -> Result<Result<String, Refusal>> {
    let now = since_1970()?;
    if let Some(subject) = config.keys.subject(authorization, now) {
        return Ok(Ok(subject));
    }
    let token = match Token::parse(authorization) {
        Ok(token) => token,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut verified = token.verify(&config.keys.current());
    // The issuer may use a newer key than those of the last fetch.
    if matches!(verified, Err(Refusal::UnknownKey | Refusal::NoKeys)) && config.keys.refresh(&config.jwks).await? {
        verified = token.verify(&config.keys.current());
    }
    let now = since_1970()?;
    let leeway = Duration::from_secs(config.leeway_s.into());
    let claims = verified.and_then(|()| token.claims(&config.issuer, &config.audience, now, leeway));
    Ok(claims.map(|claims| {
        config.keys.cache(authorization, &claims, now);
        claims.subject
    }))
}

fn since_1970() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Runs before the first request. The plugin starts without keys too: requests then start a fetch
/// again a few seconds later.
async fn fetch_keys(config: Rc<Config>) -> Result<()> {
    let fetched = retry(4, Duration::from_millis(100), async || config.keys.fetch(&config.jwks).await).await;
    if let Err(why) = fetched {
        log::error!("no keys: {why}");
    }
    Ok(())
}

/// Runs until the plugin ends.
async fn refresh_keys(config: Rc<Config>) -> Result<()> {
    let mut ticks = Interval::new(Duration::from_secs(config.jwks.refresh_s.into())).ticks()?;
    loop {
        ticks.tick().await?;
        if let Err(why) = config.keys.fetch(&config.jwks).await {
            log::warn!("the keys could not be updated: {why}");
        }
    }
}
