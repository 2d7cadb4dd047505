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
use proxy_filter::timer::set_tick_period;
use proxy_filter_kit::rate_limit::{Counted, FixedWindow, Reserve};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
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
    /// The number of requests that a worker counts at once, before they come. Without it, the limit
    /// is exact.
    batch: Option<u32>,
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

/// The period in which a worker that counts in batches reads the clock.
const TICK: Duration = Duration::from_millis(100);

/// The settings, and the batches of this worker.
#[derive(Debug)]
struct Limiter {
    limit: u32,
    announce: bool,
    by: Option<HeaderName>,
    window: FixedWindow,
    /// The counter of all requests.
    counter: SharedCell<Vec<u8>>,
    /// The beginning of the key of a client's counter.
    prefix: String,
    /// One for each counter if requests are counted in batches, and else none.
    batches: RefCell<Vec<Reserve>>,
    /// The time of the last tick.
    now: Cell<Duration>,
}

impl Limiter {
    fn new(config: Config) -> Result<Self> {
        let Config { limit, window_seconds: Seconds(length), by, name, announce, batch } = config;
        let length = Duration::from_secs(length.into());
        let mut batches = Vec::new();
        if let Some(batch) = batch {
            if batch == 0 || batch > limit {
                return Err(Error::other("batch: must be at least 1 and at most the limit"));
            }
            if announce {
                return Err(Error::other(
                    "announce: a worker that counts in batches does not know the remaining number",
                ));
            }
            let counters = if by.is_some() { COUNTERS } else { 1 };
            batches.resize(usize::try_from(counters)?, Reserve::new(batch.into(), length));
            set_tick_period(TICK)?;
        }
        let prefix = format!("rate_limit/{name}");
        Ok(Self {
            limit,
            announce,
            by,
            window: FixedWindow::new(limit, length),
            counter: SharedCell::named(prefix.clone()),
            prefix,
            batches: RefCell::new(batches),
            now: Cell::new(since_1970()?),
        })
    }

    /// Returns the number of a client's counter.
    ///
    /// # Errors
    /// [`Repeated`](ErrorKind::Repeated) if the request repeats the header that identifies clients.
    /// The upstream gets all values. With a counter for the first value or for all together, a
    /// client would get a new counter with each added value.
    fn client(&self, request: &RequestHeaders) -> Result<u64> {
        let Some(header) = &self.by else { return Ok(0) };
        let mut hasher = DefaultHasher::new();
        hasher.write(&request.get_single(header)?.unwrap_or_default());
        Ok(hasher.finish() % COUNTERS)
    }

    /// Counts requests of a client over all workers, unless they are above the limit.
    fn count(&self, client: u64, requests: u32) -> Result<Counted> {
        let now = since_1970()?;
        let cell = match &self.by {
            Some(_) => &SharedCell::named([self.prefix.as_bytes(), b"/", &client.to_le_bytes()].concat()),
            None => &self.counter,
        };
        let mut counted = None;
        // Runs again if another worker was faster, with that worker's count.
        cell.update_if(|before| {
            let now = self.window.count_batch(&before.unwrap_or_default(), requests, now);
            counted = Some(now);
            now.is_allowed.then(|| now.state.to_vec())
        })?;
        counted.ok_or_else(|| Error::from("the request was not counted"))
    }

    /// Takes a request from this worker's batch of a client, and counts the next batch if it is
    /// empty. Returns the time to wait if there is none.
    fn take(&self, client: u64) -> Result<Option<Duration>> {
        let mut batches = self.batches.borrow_mut();
        let batch = batches.get_mut(usize::try_from(client)?).ok_or_else(|| Error::from("the client has no batch"))?;
        let taken = batch.take(self.now.get(), |requests| {
            self.count(client, u32::try_from(requests)?).map(|counted| counted.result())
        })?;
        Ok(taken.err())
    }
}

fn since_1970() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The plugin.
#[derive(Debug, Default)]
struct Plugin {
    limiter: Option<Rc<Limiter>>,
}

#[proxy_filter::root]
impl RootContext for Plugin {
    type Context = RateLimit;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.limiter = Some(Rc::new(Limiter::new(configuration.json()?)?));
        Ok(())
    }

    fn on_tick(&mut self) -> Result<()> {
        if let Some(limiter) = &self.limiter {
            limiter.now.set(since_1970()?);
        }
        Ok(())
    }

    fn new_context(&self) -> RateLimit {
        RateLimit { limiter: self.limiter.clone(), announced: None }
    }
}

/// One request and its response.
#[derive(Debug)]
struct RateLimit {
    /// `None` only before the plugin is configured.
    limiter: Option<Rc<Limiter>>,
    /// What the response tells the client.
    announced: Option<Counted>,
}

#[proxy_filter::context]
impl Context for RateLimit {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let limiter = self.limiter.as_deref().ok_or_else(|| Error::from("the plugin was not configured"))?;
        let client = match limiter.client(request) {
            Err(error) if error.kind() == ErrorKind::Repeated => {
                return request.reply(LocalReply::new(400).details("several_keys").body("more than one key\n"));
            }
            client => client?,
        };
        let wait = if limiter.batches.borrow().is_empty() {
            let counted = limiter.count(client, 1)?;
            self.announced = Some(counted).filter(|_| limiter.announce);
            counted.result().err()
        } else {
            limiter.take(client)?
        };
        let Some(wait) = wait else { return Ok(FilterHeadersStatus::Continue) };
        let mut reply = LocalReply::new(429).details("rate_limited").body("slow down\n");
        if limiter.announce {
            let seconds = wait.as_nanos().div_ceil(1_000_000_000);
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
        if let (Some(counted), Some(limiter)) = (self.announced, &self.limiter) {
            response.replace("x-ratelimit-limit", limiter.limit.to_string())?;
            response.replace("x-ratelimit-remaining", counted.remaining.to_string())?;
            response.replace("x-ratelimit-window", counted.window.to_string())?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
