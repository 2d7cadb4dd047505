//! Forwards the data of TCP clients whose first bytes are a configured prefix, and closes other
//! connections.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The allowed first bytes of a client.
    prefixes: Vec<String>,
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
        let longest = self.config.prefixes.iter().map(String::len).max().unwrap_or(0);
        let start = data.bytes(0, longest)?;
        let mut prefixes = self.config.prefixes.iter().map(String::as_bytes);
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
