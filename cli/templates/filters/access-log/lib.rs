//! Logs the requests of a listener as JSON, one line for each. The plugin is not a filter.

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::{Deserialize, Serialize};

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Requests whose path begins with one of these are logged only if they fail.
    #[serde(default)]
    quiet: Vec<String>,
}

/// The plugin. An access logger has no stream contexts: its root context logs.
#[derive(Debug, Default)]
pub struct Root {
    config: Config,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = NoStream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.config = configuration.json()?;
        Ok(())
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let request = |name| log.request_headers().get(name);
        let (method, path) = (request(":method")?.unwrap_or_default(), request(":path")?.unwrap_or_default());
        // 0 for a request without a response: the client disconnected, or the stream was reset.
        let status = log.response_headers().get(":status")?.unwrap_or_default();
        let status = status.to_str().ok().and_then(|status| status.parse().ok()).unwrap_or(0);
        let quiet = self.config.quiet.iter().any(|prefix| path.starts_with(prefix.as_bytes()));
        if quiet && (200..400).contains(&status) {
            return Ok(());
        }
        let (method, path) = (String::from_utf8_lossy(&method), String::from_utf8_lossy(&path));
        match serde_json::to_string(&Line { method: &method, path: &path, status }) {
            Ok(line) if status >= 500 => log::warn!("{line}"),
            Ok(line) => log::info!("{line}"),
            Err(error) => return Err(Error::other(error.to_string())),
        }
        Ok(())
    }

    fn new_context(&self) -> NoStream {
        NoStream
    }
}

/// Envoy creates no stream contexts for an access logger.
#[derive(Debug)]
pub struct NoStream;

#[proxy_filter::context]
impl Context for NoStream {}
