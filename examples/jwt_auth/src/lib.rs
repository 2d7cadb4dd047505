//! Forwards requests with a valid JSON Web Token, and sends its subject to the upstream. The keys
//! come from a JWKS that is fetched periodically.
//!
//! ```json
//! {"jwks": {"cluster": "idp", "path": "/jwks.json"}, "issuer": "https://idp.example", "audience": "api"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{Authority, ClusterName, HeaderText, RequestPath};
use proxy_filter::foreign::{self, Key, Verdict};
use proxy_filter::prelude::*;
use proxy_filter::timer::{Interval, retry};
use proxy_filter::{clock, log};
use proxy_filter_kit::jwt::{Algorithm, Claims, HostCheck, RemoteError, RemoteJwks, Rules, TokenCache, Verified};
use proxy_filter_kit::request::Credentials;
use serde::Deserialize;
use std::cell::{RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The location of the keys.
    jwks: Location,
    /// The required issuer of a token.
    issuer: String,
    /// The required audience of a token.
    audience: String,
    /// The accepted difference between the clocks of the issuer and the proxy, in seconds.
    #[serde(default = "or::<60>")]
    leeway_s: u32,
    /// The maximum number of verified tokens that are cached in each VM. With 0, every token is
    /// verified.
    #[serde(default = "or::<1000>")]
    cached_tokens: u32,
}

/// The location of the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    cluster: ClusterName,
    path: RequestPath,
    /// The `host` of the call; default the name of the cluster.
    authority: Option<Authority>,
    /// The time between two fetches, in seconds.
    #[serde(default = "or::<300>")]
    refresh_s: u32,
    /// The minimum time between two fetches, in seconds, if a token has an unknown key. Any client
    /// can invent such tokens.
    #[serde(default = "or::<10>")]
    pause_s: u32,
}

const fn or<const N: u32>() -> u32 {
    N
}

/// The configuration, and the state that all streams of a worker share.
#[derive(Debug, Deserialize)]
#[serde(from = "Written")]
struct Config {
    location: Location,
    rules: Rules,
    keys: RemoteJwks,
    /// The subjects of verified tokens.
    verified: RefCell<TokenCache<HeaderText>>,
}

/// The accepted algorithms. `Cargo.toml` has the features of the kit for them.
const ALGORITHMS: &[Algorithm] = &[Algorithm::ES256, Algorithm::RS256];

impl From<Written> for Config {
    fn from(written: Written) -> Self {
        let Written { jwks: location, issuer, audience, leeway_s, cached_tokens } = written;
        let pause = Duration::from_secs(location.pause_s.into());
        // The root task refreshes the keys. Old ones are valid while the issuer cannot be reached.
        let keys = RemoteJwks::new().ages(Duration::MAX, Duration::MAX).unknown_key_pause(pause);
        Self {
            location,
            rules: Rules::new(issuer, [audience]).leeway(Duration::from_secs(leeway_s.into())),
            keys: keys.only(ALGORITHMS).with_host(verify_by_host).on_skipped(|skipped| log::warn!("{skipped}")),
            verified: RefCell::new(TokenCache::new(cached_tokens as usize)),
        }
    }
}

/// Verifies a signature with a function of Envoy. Other hosts do not have it.
fn verify_by_host(check: &HostCheck<'_>) -> Option<bool> {
    let verdict = foreign::verify_signature(check.hash, Key::Der(check.key), check.signed, check.signature);
    Some(verdict.ok()? == Verdict::Valid)
}

/// The reason why a request is refused.
#[derive(Debug)]
enum Refusal {
    /// The request has no token.
    Missing,
    /// The token has a fault.
    Invalid(String),
    /// No keys have been fetched.
    NoKeys(String),
}

impl Refusal {
    fn invalid(why: impl fmt::Display) -> Self {
        Self::Invalid(why.to_string())
    }

    /// The response to the client.
    fn reply(&self) -> LocalReply {
        let challenge = match self {
            Self::Missing => "Bearer".to_owned(),
            Self::Invalid(why) => format!("Bearer error=\"invalid_token\", error_description=\"{why}\""),
            Self::NoKeys(_) => return LocalReply::new(503).details("jwt_no_keys").header("retry-after", "10"),
        };
        LocalReply::new(401).details("jwt_refused").header("www-authenticate", challenge)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("a token is needed"),
            Self::Invalid(why) | Self::NoKeys(why) => f.write_str(why),
        }
    }
}

#[proxy_filter::filter(configure = fetch_keys, root_task = refresh_keys)]
async fn jwt_auth(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    let authorization = request.get("authorization")?.unwrap_or_default();
    let (token, now) = (bearer(&authorization), since_1970()?);
    if let Some(token) = token
        && let Some(subject) = config.verified().get(token, now)
    {
        return forward(request, subject);
    }
    request.remove("x-subject")?; // only this filter may set the subject
    match config.subject(token, now).await? {
        Ok(subject) => forward(request, &subject),
        Err(refusal) => {
            log::info!("refused: {refusal}");
            exchange.reply(refusal.reply())
        }
    }
}

/// Replaces the token by its subject.
fn forward(request: &mut RequestHeaders, subject: &HeaderText) -> Result<()> {
    request.replace("x-subject", subject)?;
    request.remove("authorization")
}

/// Returns the token in `Bearer …`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let credentials = Credentials::parse(authorization)?;
    credentials.is("Bearer").then(|| credentials.value())
}

/// Checks the claims of a verified token. Returns its subject, and when it expires.
fn check(verified: &Verified, rules: &Rules, now: Duration) -> Result<(HeaderText, Option<Duration>), Refusal> {
    let claims: Claims = verified.claims().map_err(Refusal::invalid)?;
    rules.check(&claims, now).map_err(Refusal::invalid)?;
    let subject = claims.subject.ok_or_else(|| Refusal::invalid("the token has no subject"))?;
    let subject = HeaderText::new(subject);
    let subject = subject.map_err(|_| Refusal::invalid("the token's subject cannot be sent in a header"))?;
    Ok((subject, claims.expires))
}

impl Config {
    /// Returns the subject of a token that is not cached, or the reason of the refusal.
    async fn subject(&self, token: Option<&[u8]>, now: Duration) -> Result<Result<HeaderText, Refusal>> {
        let Some(token) = token else { return Ok(Err(Refusal::Missing)) };
        let verified = match self.keys.verify(token, now, async || self.fetch().await).await {
            Ok(verified) => verified,
            Err(RemoteError::Token(why)) => return Ok(Err(Refusal::invalid(why))),
            Err(why) => return Ok(Err(Refusal::NoKeys(why.to_string()))),
        };
        let now = since_1970()?;
        Ok(check(&verified, &self.rules, now).map(|(subject, expires)| {
            self.verified().insert(token, subject.clone(), expires, now);
            subject
        }))
    }

    /// The tokens that the current keys have verified.
    fn verified(&self) -> RefMut<'_, TokenCache<HeaderText>> {
        let mut verified = self.verified.borrow_mut();
        verified.keep_version(self.keys.version());
        verified
    }

    /// Fetches the keys and uses them.
    async fn refresh(&self) -> Result<()> {
        self.keys.refresh(since_1970()?, async || self.fetch().await).await.map_err(Error::other)
    }

    async fn fetch(&self) -> Result<Vec<u8>> {
        let Location { cluster, path, authority, .. } = &self.location;
        let response = HttpCall::get(cluster, path).authority(authority.as_deref().unwrap_or(cluster)).await?;
        match response.status() {
            200 => Ok(response.body()?.into_owned()),
            status => Err(Error::other(format_args!("the issuer responded with {status}"))),
        }
    }
}

fn since_1970() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Runs before the first request. The plugin starts without keys too: requests then start a fetch
/// again.
async fn fetch_keys(config: Rc<Config>) -> Result<()> {
    let fetched = retry(4, Duration::from_millis(100), async || config.refresh().await).await;
    if let Err(why) = fetched {
        log::error!("{why}");
    }
    Ok(())
}

/// Runs until the plugin ends.
async fn refresh_keys(config: Rc<Config>) -> Result<()> {
    let mut ticks = Interval::new(Duration::from_secs(config.location.refresh_s.into())).ticks()?;
    loop {
        ticks.tick().await?;
        if let Err(why) = config.refresh().await {
            log::warn!("{why}");
        }
    }
}
