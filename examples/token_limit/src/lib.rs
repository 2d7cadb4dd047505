//! Limits the tokens of language models that each client uses, counted over all workers of Envoy.
//!
//! ```json
//! {"clients": {"alice": {"per_minute": 10000}}, "others": {"per_minute": 1000}, "reserve": 500}
//! ```
//!
//! The client's name is in `x-client`, as an authentication filter before this one sets it.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter::shared_data::SharedCell;
use proxy_filter::{clock, log};
use proxy_filter_kit::llm_usage::Reader;
use proxy_filter_kit::problem::{CONTENT_TYPE, Problem};
use proxy_filter_kit::rate_limit::{Taken, TokenBucket};
use serde::Deserialize;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The limits, by the names of the clients.
    clients: HashMap<String, Limit>,
    /// The limit of all other clients together.
    others: Limit,
    /// The tokens that a request takes before its response is known.
    #[serde(default = "reserve")]
    reserve: u64,
}

/// A limit. At most this number of tokens may be used at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    per_minute: u64,
}

const fn reserve() -> u64 {
    100
}

/// The number of minutes for which a client can be denied after a large response.
const MAX_DEBT: u64 = 10;

/// One request and its response.
struct Limited {
    config: Rc<Config>,
    client: HeaderValue,
    /// The tokens that were taken before the response.
    taken: u64,
    reader: Option<Reader>,
    is_complete: bool,
}

impl From<&Rc<Config>> for Limited {
    fn from(config: &Rc<Config>) -> Self {
        let config = Rc::clone(config);
        Self { config, client: HeaderValue::default(), taken: 0, reader: None, is_complete: false }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Limited {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // A repeated name is no client's.
        self.client = request.get_single("x-client").ok().flatten().unwrap_or_default();
        let bucket = Bucket::of(&self.config, &self.client);
        match bucket.take(self.config.reserve)? {
            Taken::Allowed { .. } => self.taken = self.config.reserve,
            Taken::Denied { retry_after } => return request.reply(refusal(retry_after)),
        }
        // A compressed response cannot be read.
        request.replace("accept-encoding", "identity")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let kind = response.get("content-type")?.unwrap_or_default();
        self.reader = if response.content_codings()?.is_empty() { Reader::new(&kind) } else { None };
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if let Some(reader) = &mut self.reader {
            reader.push(&body.to_bytes()?);
        }
        self.is_complete = end_of_stream;
        Ok(FilterDataStatus::Continue)
    }

    /// Also called if the client disconnects: it pays for the tokens so far.
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        let used = self.used();
        if self.taken > 0 && used > self.taken {
            log::debug!("{} used {used} tokens", escaped(&self.client));
            Bucket::of(&self.config, &self.client).charge(used.saturating_sub(self.taken))?;
        }
        Ok(())
    }
}

impl Limited {
    /// Returns the tokens of the response so far.
    fn used(&self) -> u64 {
        let usage = self.reader.as_ref().map(Reader::usage).unwrap_or_default();
        // Counts are at the end of a stream. Without them, an event is a token.
        let is_counted = self.is_complete && usage.output > 0;
        let output = if is_counted { usage.output } else { usage.output.max(usage.events) };
        usage.input.saturating_add(output)
    }
}

/// The tokens of a client, in shared data. There are as many as names in the configuration.
struct Bucket {
    bucket: TokenBucket,
    cell: SharedCell<u64>,
}

impl Bucket {
    fn of(config: &Config, client: &[u8]) -> Self {
        let known = config.clients.iter().find(|(name, _)| name.as_bytes() == client);
        let (key, limit) = known
            .map_or(("token_limit".to_owned(), &config.others), |(name, limit)| (format!("token_limit/{name}"), limit));
        let bucket = TokenBucket::new(limit.per_minute, Duration::from_secs(60));
        let bucket = bucket.debt(limit.per_minute.saturating_mul(MAX_DEBT));
        Self { bucket, cell: SharedCell::named(key) }
    }

    fn take(&self, tokens: u64) -> Result<Taken> {
        let now = now()?;
        let mut taken = Taken::Denied { retry_after: Duration::ZERO };
        self.cell.update_if(|state| {
            taken = self.bucket.take(state, tokens, now);
            taken.state()
        })?;
        Ok(taken)
    }

    fn charge(&self, tokens: u64) -> Result<()> {
        let now = now()?;
        self.cell.update_if(|state| Some(self.bucket.charge(state, tokens, now)))?;
        Ok(())
    }
}

fn now() -> Result<Duration> {
    Ok(clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn refusal(retry_after: Duration) -> LocalReply {
    let problem = Problem::new(429, "the limit of tokens is reached").to_json();
    let seconds = retry_after.as_millis().div_ceil(1000).min(3600).to_string();
    let reply = LocalReply::new(429).header("content-type", CONTENT_TYPE).header("retry-after", seconds);
    reply.details("token_limit").body(problem)
}
