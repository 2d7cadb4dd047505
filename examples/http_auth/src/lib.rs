//! Forwards requests with a known bearer token, and sends the user to the upstream. Other requests
//! get 401 or 403.
//!
//! ```json
//! {"realm": "api", "tokens": {"s3cr3t": "alice"}}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::HeaderText;
use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::collections::HashMap;
use std::rc::Rc;

/// The configuration. A value that no header can contain is refused here once, and does not fail
/// each request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The realm in `www-authenticate`.
    realm: Option<HeaderText>,
    /// Users by their tokens.
    tokens: HashMap<String, HeaderText>,
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

impl Auth {
    /// Returns the user of a token. Compares all tokens, so that the time does not depend on them.
    fn user(&self, token: &[u8]) -> Option<&HeaderText> {
        let tokens = self.config.tokens.iter();
        tokens.fold(None, |found, (known, user)| if same(known.as_bytes(), token) { Some(user) } else { found })
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

/// Encodes a quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Compares in a time that depends only on the lengths.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Auth {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        // Only this filter may set the user.
        request.remove("x-user")?;
        let authorization = request.get("authorization")?;
        let Some(token) = authorization.as_deref().and_then(bearer) else {
            return request.reply(
                LocalReply::new(401)
                    .header(
                        "www-authenticate",
                        ["Bearer realm=", &quoted(self.config.realm.as_deref().unwrap_or_default())].concat(),
                    )
                    .details("no_token")
                    .body("a token is needed\n"),
            );
        };
        let Some(user) = self.user(token) else {
            log::info!("unknown token");
            return request.reply(LocalReply::new(403).details("unknown_token").body("this token is not known\n"));
        };
        request.replace("x-user", user)?;
        request.remove("authorization")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
