//! Forwards requests with a known user and password, and challenges others.
//!
//! ```json
//! {"realm": "staging", "users": {"alice": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}}
//! ```
//!
//! The configuration has the SHA-256 of each password: `printf '%s' "$PASSWORD" | sha256sum`.

#[cfg(test)]
mod tests;

use proxy_filter::configured::HeaderText;
use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter_kit::request::{Credentials, secret_eq};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The name of the protected area.
    realm: HeaderText,
    /// The hashes of the passwords, by the users' names.
    users: HashMap<HeaderText, Hash>,
}

/// The SHA-256 of a password.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Hash(Vec<u8>);

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let digit = |text: &[u8]| u8::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
        let hash: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digit).collect();
        let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hash.filter(|_| is_hash).map(Self).ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

/// One request.
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
        request.remove("x-user")?; // only this filter may set the user
        // The upstream might use any of several values.
        let authorization = match request.get_single("authorization") {
            Err(error) if error.kind() == ErrorKind::Repeated => {
                return request.reply(LocalReply::new(400).details("basic_auth_repeated"));
            }
            authorization => authorization?.unwrap_or_default(),
        };
        let Some(user) = self.config.user(&authorization) else {
            return request.reply(self.config.challenge());
        };
        request.remove("authorization")?;
        request.replace("x-user", user)?;
        Ok(FilterHeadersStatus::Continue)
    }
}

impl Config {
    /// Returns the user of valid credentials. An unknown user takes as much time as a wrong
    /// password.
    fn user(&self, authorization: &[u8]) -> Option<&HeaderText> {
        let basic = Credentials::parse(authorization)?.basic()?;
        let hash = Sha256::digest(&basic.password);
        let known = self.users.iter().find(|(name, _)| name.as_bytes() == basic.user);
        let is_right = known.is_some_and(|(_, Hash(expected))| secret_eq(hash, expected));
        if !is_right {
            log::info!("refused: {}", escaped(&basic.user));
        }
        known.filter(|_| is_right).map(|(name, _)| name)
    }

    fn challenge(&self) -> LocalReply {
        let realm = self.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let reply = LocalReply::new(401).header("www-authenticate", challenge);
        reply.details("basic_auth").body("a user and a password are required\n")
    }
}
