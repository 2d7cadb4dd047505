//! Forwards requests with a valid JSON Web Token. The keys come from the issuer when a token needs
//! them, and are shared by all streams of a worker.
//!
//! ```json
//! {"cluster": "idp", "path": "/jwks.json", "issuer": "https://idp.example", "audience": "api", "scope": "read"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{ClusterName, HeaderText, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter::{clock, log};
use proxy_filter_kit::jwt::{Claims, RemoteError, RemoteJwks, Rules, TokenCache};
use proxy_filter_kit::request::bearer;
use serde::Deserialize;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};

/// The configuration, and the state of a worker.
#[derive(Debug, Deserialize)]
struct Config {
    /// The cluster and the path of the issuer's keys.
    cluster: ClusterName,
    path: RequestPath,
    issuer: String,
    audience: String,
    /// The scope that a token must have, if there is one.
    scope: Option<String>,
    #[serde(skip, default = "keys")]
    keys: RemoteJwks,
    #[serde(skip, default = "cache")]
    verified: RefCell<TokenCache<HeaderText>>,
}

fn keys() -> RemoteJwks {
    RemoteJwks::new().on_skipped(|skipped| log::warn!("{skipped}"))
}

fn cache() -> RefCell<TokenCache<HeaderText>> {
    RefCell::new(TokenCache::new(1000))
}

/// The status and the reason of a refusal.
type Refusal = (u16, String);

/// The longest subject, because subjects are stored.
const MAX_SUBJECT: usize = 256;

#[proxy_filter::filter]
async fn jwt_edge(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-subject")?; // only this filter may set the subject
    let authorization = match request.get_single("authorization") {
        Err(error) if error.kind() == ErrorKind::Repeated => return exchange.reply(LocalReply::new(400)),
        authorization => authorization?.unwrap_or_default(),
    };
    match config.subject(bearer(&authorization).unwrap_or_default()).await? {
        Ok(subject) => request.replace("x-subject", &subject),
        Err((status, why)) => {
            log::info!("refused: {why}");
            let challenge = if status == 503 { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            exchange.reply(LocalReply::new(status).header("www-authenticate", challenge).details("jwt_edge"))
        }
    }
}

impl Config {
    /// Returns the subject of a token.
    async fn subject(&self, token: &[u8]) -> Result<Result<HeaderText, Refusal>> {
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        {
            let mut verified = self.verified.borrow_mut();
            verified.keep_version(self.keys.version());
            if let Some(subject) = verified.get(token, now) {
                return Ok(Ok(subject.clone()));
            }
        }
        let verified = match self.keys.verify(token, now, async || self.fetch().await).await {
            Ok(verified) => verified,
            Err(RemoteError::Token(why)) => return Ok(Err((401, why.to_string()))),
            Err(why) => return Ok(Err((503, why.to_string()))),
        };
        let checked =
            verified.claims().map_err(|why| (401, why.to_string())).and_then(|claims| self.check(claims, now));
        Ok(checked.map(|(subject, expires)| {
            self.verified.borrow_mut().insert(token, subject.clone(), expires, now);
            subject
        }))
    }

    /// Checks the claims, and returns the subject and the time of expiry.
    fn check(&self, claims: Claims, now: Duration) -> Result<(HeaderText, Option<Duration>), Refusal> {
        Rules::new(&self.issuer, [&self.audience]).check(&claims, now).map_err(|why| (401, why.to_string()))?;
        let scopes = claims.others.get("scope").and_then(|scope| scope.as_str()).unwrap_or_default();
        if self.scope.as_ref().is_some_and(|wanted| !scopes.split(' ').any(|scope| scope == wanted)) {
            return Err((403, "the token does not have the scope".to_owned()));
        }
        let subject = claims.subject.filter(|subject| subject.len() <= MAX_SUBJECT);
        let subject = subject.and_then(|subject| HeaderText::new(subject).ok());
        Ok((subject.ok_or((401, "the subject cannot be sent".to_owned()))?, claims.expires))
    }

    async fn fetch(&self) -> Result<Vec<u8>> {
        let response = HttpCall::get(&self.cluster, &self.path).timeout(Duration::from_secs(2)).await?;
        match response.status() {
            200 => Ok(response.body()?.into_owned()),
            status => Err(Error::other(format_args!("the issuer responded with {status}"))),
        }
    }
}
