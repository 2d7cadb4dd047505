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
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The allowed first bytes of a client.
    prefixes: Vec<String>,
}

/// The decision about the first bytes of a client.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    /// The bytes are the beginning of a prefix.
    Undecided,
}

impl Config {
    fn judge(&self, start: &[u8]) -> Verdict {
        let mut prefixes = self.prefixes.iter().map(String::as_bytes);
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
        self.prefixes.iter().map(String::len).max().unwrap_or(0)
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Root {
    config: Rc<Config>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Connection;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let config: Config = configuration.json()?;
        if config.prefixes.is_empty() || config.prefixes.iter().any(String::is_empty) {
            return Err(Error::other("prefixes: at least one prefix is required, and none may be empty"));
        }
        self.config = Rc::new(config);
        Ok(())
    }

    fn new_context(&self) -> Connection {
        Connection { config: Rc::clone(&self.config), allowed: false }
    }
}

/// One connection of a client.
#[derive(Debug)]
pub struct Connection {
    config: Rc<Config>,
    allowed: bool,
}

#[proxy_filter::stream_context]
impl StreamContext for Connection {
    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        if self.allowed {
            return Ok(NetworkFilterStatus::Continue);
        }
        let start = data.bytes(0, self.config.longest())?;
        match self.config.judge(&start) {
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
