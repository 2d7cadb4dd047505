//! Forwards requests with a known bearer token, and sends the user to the upstream.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The realm in the challenge.
    realm: String,
    /// Users by their tokens.
    tokens: BTreeMap<String, String>,
}

/// One request and its response.
#[derive(Debug)]
struct Auth {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Auth {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Auth {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // Only this filter may set the user.
        request.remove("x-user")?;
        let header = request.get("authorization")?.unwrap_or_default();
        let token = header.to_str().ok().and_then(|header| header.strip_prefix("Bearer "));
        let Some(user) = token.and_then(|token| self.config.tokens.get(token)) else {
            let challenge = format!("Bearer realm=\"{}\"", self.config.realm);
            let reply = LocalReply::new(401).header("www-authenticate", challenge);
            return request.reply(reply.details("unknown_token").body("who are you?\n"));
        };
        request.replace("x-user", user)?;
        Ok(FilterHeadersStatus::Continue)
    }
}
