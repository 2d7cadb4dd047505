//! Lets TCP clients pass whose first bytes are one of the configured prefixes, and closes the
//! connections of others before the upstream has seen a byte of them.
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

/// What the operator configures.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What a client may begin with.
    prefixes: Vec<String>,
}

/// What is known of a client that has sent these bytes.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    /// They are the beginning of a prefix.
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

    /// How many bytes decide.
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
            return Err(Error::other("prefixes: needs at least one, and none that is empty"));
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
            // Never more than the longest prefix: what is longer than that is decided.
            Verdict::Undecided if !end_of_stream => return Ok(NetworkFilterStatus::StopIteration),
            // A client that leaves without a word has done nothing wrong: a health check, perhaps.
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
