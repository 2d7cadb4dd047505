//! Forwards the data of TCP clients whose first bytes are one of the configured prefixes. It closes
//! other connections before the upstream gets a byte of them.
//!
//! ```json
//! {"prefixes": ["PING ", "ECHO "]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter::stream_info;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The allowed first bytes of a client.
    prefixes: Prefixes,
}

/// At least one prefix, and none that is empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Prefixes(Vec<String>);

impl TryFrom<Vec<String>> for Prefixes {
    type Error = &'static str;

    fn try_from(prefixes: Vec<String>) -> Result<Self, Self::Error> {
        if prefixes.is_empty() || prefixes.iter().any(String::is_empty) {
            return Err("at least one prefix is required, and none may be empty");
        }
        Ok(Self(prefixes))
    }
}

/// The decision about the first bytes of a client.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    /// The bytes are the beginning of a prefix.
    Undecided,
}

impl Prefixes {
    fn judge(&self, start: &[u8]) -> Verdict {
        let mut prefixes = self.0.iter().map(String::as_bytes);
        if prefixes.clone().any(|prefix| start.starts_with(prefix)) {
            Verdict::Allowed
        } else if prefixes.any(|prefix| prefix.starts_with(start)) {
            Verdict::Undecided
        } else {
            Verdict::Refused
        }
    }

    /// Returns the length of the longest prefix.
    fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or(0)
    }
}

/// One connection of a client.
#[derive(Debug)]
struct Guard {
    config: Rc<Config>,
    allowed: bool,
}

impl From<&Rc<Config>> for Guard {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), allowed: false }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl StreamContext for Guard {
    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        if self.allowed {
            return Ok(NetworkFilterStatus::Continue);
        }
        let start = data.bytes(0, self.config.prefixes.longest())?;
        match self.config.prefixes.judge(&start) {
            Verdict::Allowed => self.allowed = true,
            // At most the longest prefix: with more bytes, the decision is made.
            Verdict::Undecided if !end_of_stream => return Ok(NetworkFilterStatus::StopIteration),
            // A client that disconnects without data is allowed: it may be a health check.
            Verdict::Undecided if start.is_empty() => {}
            Verdict::Undecided | Verdict::Refused => {
                let client = stream_info::source().address()?.and_then(|address| address.ip());
                let client = client.map_or_else(|| "a client".into(), |ip| ip.to_string());
                log::info!("{client} began with {}", escaped(&start));
                return Ok(NetworkFilterStatus::Close);
            }
        }
        Ok(NetworkFilterStatus::Continue)
    }
}
