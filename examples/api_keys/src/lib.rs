//! Forwards requests with a known API key, each key within its own limit, counted over all workers
//! of Envoy.
//!
//! ```json
//! {
//!   "header": "x-api-key",
//!   "keys": {"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b": {"name": "alice", "per_minute": 60}}
//! }
//! ```
//!
//! The configuration has the SHA-256 of each key: `printf '%s' "$KEY" | sha256sum`.

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::configured::{HeaderName, HeaderText};
use proxy_filter::prelude::*;
use proxy_filter::shared_data::SharedCell;
use proxy_filter_kit::problem::{CONTENT_TYPE, Problem};
use proxy_filter_kit::rate_limit::{Taken, TokenBucket};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The header with the key. It is not forwarded.
    header: HeaderName,
    /// The clients, by the SHA-256 of their keys in lower-case hexadecimal digits.
    keys: HashMap<String, Client>,
}

/// A client and its limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    /// The name for the upstream, in `x-client`. Keys of the same name share a limit.
    name: HeaderText,
    /// The number of requests in a minute. At most this number may arrive at once.
    per_minute: u64,
}

/// One request.
struct ApiKeys {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for ApiKeys {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for ApiKeys {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // The upstream might use any of several keys.
        let key = match request.get_single(&self.config.header) {
            Err(error) if error.kind() == ErrorKind::Repeated => {
                return request.reply(refusal(400, "more than one key"));
            }
            key => key?.unwrap_or_default(),
        };
        let Some(client) = self.config.client(&key) else { return request.reply(refusal(401, "the key is unknown")) };
        match client.take()? {
            Taken::Allowed { .. } => {
                request.remove(&self.config.header)?;
                request.replace("x-client", &client.name)?;
                Ok(FilterHeadersStatus::Continue)
            }
            Taken::Denied { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).to_string();
                request.reply(refusal(429, "the limit of the key is reached").header("retry-after", seconds))
            }
        }
    }
}

impl Config {
    /// Returns the client of a key. The comparison of hashes tells nothing about the key.
    fn client(&self, key: &[u8]) -> Option<&Client> {
        let hash: String = Sha256::digest(key).iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect();
        self.keys.get(&hash)
    }
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or_default()
}

impl Client {
    /// Takes a token from the client's bucket. The number of buckets is that of the names.
    fn take(&self) -> Result<Taken> {
        let bucket = TokenBucket::new(self.per_minute, Duration::from_secs(60));
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut taken = Taken::Denied { retry_after: Duration::ZERO };
        SharedCell::<u64>::named(format!("api_keys/{}", &*self.name)).update_if(|state| {
            taken = bucket.take(state, 1, now);
            taken.state()
        })?;
        Ok(taken)
    }
}

fn refusal(status: u16, why: &str) -> LocalReply {
    let problem = Problem::new(status, why).to_json();
    LocalReply::new(status).header("content-type", CONTENT_TYPE).details(format!("api_keys_{status}")).body(problem)
}
