//! Forwards the data of TCP clients whose first bytes are a configured prefix, and closes other
//! connections.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
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
        let Prefixes(prefixes) = &self.config.prefixes;
        let longest = prefixes.iter().map(String::len).max().unwrap_or(0);
        let start = data.bytes(0, longest)?;
        let mut prefixes = prefixes.iter().map(String::as_bytes);
        if prefixes.clone().any(|prefix| start.starts_with(prefix)) {
            self.allowed = true;
            return Ok(NetworkFilterStatus::Continue);
        }
        if prefixes.any(|prefix| prefix.starts_with(&start)) && !end_of_stream {
            // Too short to decide. The next callback sees these bytes followed by new ones.
            return Ok(NetworkFilterStatus::Pause);
        }
        Ok(NetworkFilterStatus::Close)
    }
}
