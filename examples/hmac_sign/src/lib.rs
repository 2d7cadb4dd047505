//! Signs requests to the upstream with HMAC-SHA256, so that the upstream accepts only requests of
//! this proxy.
//!
//! ```json
//! {"secrets": ["a secret of at least 32 characters"], "header": "x-signature"}
//! ```
//!
//! The signature covers the time, the method, the authority, the path with its query, and some
//! headers. The first secret signs. With `"verify": true`, the filter instead refuses requests
//! without a signature of one of the secrets: for the proxy before the upstream.

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::configured::HeaderName;
use proxy_filter::prelude::*;
use proxy_filter_kit::signature::{RequestSigner, Secret};
use serde::Deserialize;
use std::rc::Rc;
use std::time::SystemTime;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    signer: RequestSigner,
    header: HeaderName,
    headers: Vec<HeaderName>,
    verify: bool,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The secrets. The first one signs, and all are accepted.
    secrets: Vec<String>,
    /// The header of the signature.
    header: HeaderName,
    /// Other headers that the signature covers. A missing one counts as empty.
    #[serde(default)]
    headers: Vec<HeaderName>,
    /// Whether the filter verifies signatures instead of creating them.
    #[serde(default)]
    verify: bool,
}

impl TryFrom<Written> for Config {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        const SHORT: &str = "secrets: a secret has at least 32 bytes";
        let mut secrets = written.secrets.iter().map(|secret| Secret::new(secret).ok_or(SHORT));
        let signer = RequestSigner::new(secrets.next().ok_or("secrets: there is none")??);
        let signer = secrets.try_fold(signer, |signer, secret| Ok::<_, &str>(signer.accept(secret?)))?;
        Ok(Self { signer, header: written.header, headers: written.headers, verify: written.verify })
    }
}

/// One request.
struct Sign {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Sign {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Sign {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let Config { signer, header, headers, verify } = &*self.config;
        let names = [":method", ":authority", ":path"].into_iter().chain(headers.iter().map(|name| &**name));
        let mut values = Vec::new();
        for name in names {
            // Of several values, the receiver might use any.
            match request.get_single(name) {
                Err(error) if error.kind() == ErrorKind::Repeated => return request.reply(refusal(400, "repeated")),
                value => values.push(value?.unwrap_or_default()),
            }
        }
        let parts: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if *verify {
            let signature = request.get_single(header).ok().flatten().unwrap_or_default();
            return match signer.verify(&signature, &parts, now) {
                Ok(()) => Ok(FilterHeadersStatus::Continue),
                Err(_) => request.reply(refusal(401, "unsigned")),
            };
        }
        // Also replaces a signature that the client has sent.
        request.replace(header, signer.sign(&parts, now).map_err(Error::other)?)?;
        Ok(FilterHeadersStatus::Continue)
    }
}

fn refusal(status: u16, why: &'static str) -> LocalReply {
    LocalReply::new(status).details(format!("hmac_sign_{why}")).body(format!("{why}\n"))
}
