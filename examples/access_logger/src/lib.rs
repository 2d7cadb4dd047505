//! Logs the requests of a listener as JSON, one line for each. The plugin is not a filter.

#[cfg(test)]
mod tests;

use proxy_filter::metric::CounterVec;
use proxy_filter::prelude::*;
use proxy_filter::stream_info;
use serde::{Deserialize, Serialize};

static LOGGED: CounterVec<1> = CounterVec::new("access_logged", ["class"], 10);

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Paths that begin with one of these are not logged if the response was 2xx or 3xx.
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
struct Entry<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
    details: &'a str,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = NoStream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.config = configuration.json()?;
        Ok(())
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let method = log.request_headers().get(":method")?.unwrap_or_default();
        let path = log.request_headers().get(":path")?.unwrap_or_default();
        let details = stream_info::response().code_details()?.unwrap_or_default();
        // 0 for a request without a response: the client disconnected, or the stream was reset.
        let status = log.response_headers().get(":status")?.unwrap_or_default();
        let status = status.to_str().ok().and_then(|status| status.parse().ok()).unwrap_or(0);
        LOGGED.increment([class(status)], 1)?;
        let quiet = self.config.quiet.iter().any(|prefix| path.starts_with(prefix.as_bytes()));
        if quiet && (200..400).contains(&status) {
            return Ok(());
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value).into_owned();
        let (method, path, details) = (text(&method), text(&path), text(&details));
        let entry = Entry { method: &method, path: &path, status, details: &details };
        match serde_json::to_string(&entry) {
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

/// The class of a status, as a label with few values.
fn class(status: u16) -> &'static str {
    match status {
        0 => "none",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "1xx",
    }
}

/// Never created while the plugin is an access logger.
#[derive(Debug)]
pub struct NoStream;

#[proxy_filter::context]
impl Context for NoStream {}
