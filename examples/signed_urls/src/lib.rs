//! Forwards requests with a signed URL, or with a signed cookie for all paths below a directory.
//!
//! ```json
//! {"secrets": ["a secret of at least 32 characters"]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::prelude::*;
use proxy_filter_kit::request::{Normalisation, cookies, path, remove_cookie};
use proxy_filter_kit::signature::{Secret, UrlSigner};
use serde::Deserialize;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    signer: UrlSigner,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The secrets. Signatures of all of them are accepted.
    secrets: Vec<String>,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut signer: Option<UrlSigner> = None;
        for (index, secret) in written.secrets.iter().enumerate() {
            let secret = Secret::new(secret).ok_or(format!("secrets[{index}]: a secret has at least 32 bytes"))?;
            signer = Some(match signer {
                None => UrlSigner::new(secret),
                Some(signer) => signer.accept(secret),
            });
        }
        Ok(Self { signer: signer.ok_or("secrets: there is none")? })
    }
}

/// The cookie. Its value is a signed URL whose path ends with `/*`.
const COOKIE: &str = "__Secure-signed";

/// One request.
struct Signed {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Signed {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Signed {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let method = request.method()?.unwrap_or_default();
        if method != "GET" && method != "HEAD" {
            // A signature does not cover the method.
            return request.reply(refusal("method"));
        }
        let target = request.path()?.unwrap_or_default();
        let cookie = request.get_all("cookie")?.iter().collect::<Vec<_>>().join(&b"; "[..]);
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Some(forwarded) = self.config.by_url(&target, now).or_else(|| self.config.by_cookie(&target, &cookie, now))
        else {
            return request.reply(refusal("signature"));
        };
        request.replace(":path", forwarded)?;
        // The upstream needs neither the signature nor the cookie.
        match remove_cookie(&cookie, COOKIE) {
            Some(others) => request.replace("cookie", others)?,
            None => request.remove("cookie")?,
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

impl Config {
    /// Returns the target without its signature, if that is valid.
    fn by_url(&self, target: &[u8], now: Duration) -> Option<Vec<u8>> {
        let original = self.signer.verify(target, now).ok()?;
        // The value of a cookie is no URL.
        (!path(original).ends_with(b"/*")).then(|| original.to_vec())
    }

    /// Returns the target in its normal form, if a cookie is valid for it.
    fn by_cookie(&self, target: &[u8], cookie: &[u8], now: Duration) -> Option<Vec<u8>> {
        let own = path(target);
        // `/mine/../yours` is below `/mine/` only before its normalisation.
        let normal = Normalisation::new().normalise(own).ok()?.into_bytes();
        let is_valid = |value| {
            let directory = self.signer.verify(value, now).ok().and_then(|grant| grant.strip_suffix(b"*"));
            directory.is_some_and(|directory| directory.ends_with(b"/") && normal.starts_with(directory))
        };
        let mut values = cookies(cookie).filter(|(name, _)| *name == COOKIE.as_bytes()).map(|(_, value)| value);
        values.any(is_valid).then(|| [&normal, target.get(own.len()..).unwrap_or_default()].concat())
    }
}

fn refusal(why: &'static str) -> LocalReply {
    LocalReply::new(403).details(format!("signed_urls_{why}")).body("a valid signature is required\n")
}
