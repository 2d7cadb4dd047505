//! Lets requests with a known bearer token pass, and tells the upstream who it is; answers others
//! with 401 or 403.
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

/// What the operator configures.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What `www-authenticate` says.
    realm: Option<HeaderText>,
    /// Users by token.
    tokens: HashMap<String, HeaderText>,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Root {
    config: Rc<Config>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        // Text that no header can have is refused here, once, rather than with each request.
        self.config = Rc::new(configuration.json()?);
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { config: Rc::clone(&self.config) }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    config: Rc<Config>,
}

impl Stream {
    /// The user a token belongs to. Looks at every token, so that the time it takes says nothing
    /// about them.
    fn user(&self, token: &[u8]) -> Option<&HeaderText> {
        let tokens = self.config.tokens.iter();
        tokens.fold(None, |found, (known, user)| if same(known.as_bytes(), token) { Some(user) } else { found })
    }
}

/// The token in `Bearer …`: the scheme in any case, then one or more spaces (RFC 9110, section
/// 11.4).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).filter(|token| spaces > 0 && !token.is_empty())?;
    scheme.eq_ignore_ascii_case(b"Bearer").then_some(token)
}

/// A quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[proxy_filter::context]
impl Context for Stream {
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
