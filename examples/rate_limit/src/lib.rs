//! Forwards a limited number of requests in each time window, counted over all workers of Envoy.
//!
//! ```json
//! {"limit": 100, "window_seconds": 60, "by": "x-api-key"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::configured::HeaderName;
use proxy_filter::prelude::*;
use proxy_filter::shared_data::SharedCell;
use proxy_filter_kit::rate_limit::{Counted, FixedWindow};
use serde::Deserialize;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The number of requests that are forwarded in a window.
    limit: u32,
    /// The length of a window, in seconds.
    window_seconds: Seconds,
    /// The header that identifies clients. Without it, all requests are counted together.
    by: Option<HeaderName>,
    /// Plugins with different names count separately.
    #[serde(default)]
    name: String,
    /// Whether responses contain the remaining number of requests.
    #[serde(default)]
    announce: bool,
}

/// A number of seconds that is at least 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
struct Seconds(u32);

impl TryFrom<u32> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        if seconds == 0 { Err("must be at least 1") } else { Ok(Self(seconds)) }
    }
}

/// The number of counters for clients. A key of shared data is never removed: with a key for each
/// client, clients could fill the host's memory. Two clients with the same counter share its limit.
const COUNTERS: u64 = 4096;

/// One request and its response.
#[derive(Debug)]
struct RateLimit {
    config: Rc<Config>,
    counted: Option<Counted>,
}

impl From<&Rc<Config>> for RateLimit {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), counted: None }
    }
}

impl Config {
    /// Returns the counter of a client.
    ///
    /// # Errors
    /// [`Repeated`](ErrorKind::Repeated) if the request repeats the header that identifies clients.
    /// The upstream gets all values. With a counter for the first value or for all together, a
    /// client would get a new counter with each added value.
    fn counter(&self, request: &RequestHeaders) -> Result<SharedCell<Vec<u8>>> {
        let Some(header) = &self.by else { return Ok(SharedCell::named(format!("rate_limit/{}", self.name))) };
        let mut hasher = DefaultHasher::new();
        hasher.write(&request.get_single(header)?.unwrap_or_default());
        Ok(SharedCell::named(format!("rate_limit/{}/{}", self.name, hasher.finish() % COUNTERS)))
    }

    /// Counts a request, unless the limit is reached.
    fn count(&self, cell: &SharedCell<Vec<u8>>, now: Duration) -> Result<Counted> {
        let Seconds(length) = self.window_seconds;
        let limit = FixedWindow::new(self.limit, Duration::from_secs(length.into()));
        let mut counted = limit.count(b"", now);
        // Runs again if another worker was faster, with that worker's count.
        cell.update_if(|before| {
            counted = limit.count(&before.unwrap_or_default(), now);
            counted.is_allowed.then(|| counted.state.clone())
        })?;
        Ok(counted)
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for RateLimit {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let cell = match self.config.counter(request) {
            Err(error) if error.kind() == ErrorKind::Repeated => {
                return request.reply(LocalReply::new(400).details("several_keys").body("more than one key\n"));
            }
            cell => cell?,
        };
        let counted = self.counted.insert(self.config.count(&cell, now)?);
        if counted.is_allowed {
            return Ok(FilterHeadersStatus::Continue);
        }
        let mut reply = LocalReply::new(429).details("rate_limited").body("slow down\n");
        if self.config.announce {
            let seconds = counted.ends_after.as_nanos().div_ceil(1_000_000_000);
            reply = reply.header("retry-after", seconds.to_string());
        }
        request.reply(reply)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        // Also runs for the filter's own 429.
        if let Some(counted) = self.counted.as_ref().filter(|_| self.config.announce) {
            response.replace("x-ratelimit-limit", self.config.limit.to_string())?;
            response.replace("x-ratelimit-remaining", counted.remaining.to_string())?;
            response.replace("x-ratelimit-window", counted.window.to_string())?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
