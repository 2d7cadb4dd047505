//! Continues or begins the trace of each request, and logs a JSON line with the trace for each
//! response.
//!
//! ```json
//! {"sample_percent": 10, "restart": false}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter::{clock, log, random, stream_info};
use proxy_filter_kit::log_line::LogLine;
use proxy_filter_kit::request::path;
use proxy_filter_kit::trace::{TraceContext, TraceState};
use serde::Deserialize;
use std::rc::Rc;
use std::time::SystemTime;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The percentage of traces that begin here and are recorded, 0 to 100.
    sample_percent: Percent,
    /// Whether traces of clients are not continued.
    #[serde(default)]
    restart: bool,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "u64")]
struct Percent(u64);

impl TryFrom<u64> for Percent {
    type Error = String;

    fn try_from(percent: u64) -> Result<Self, String> {
        if percent > 100 { Err(format!("{percent} is more than 100")) } else { Ok(Self(percent)) }
    }
}

/// The maximum number of bytes of a line.
const MAX_LINE: usize = 4096;

/// One request and its response.
struct Traced {
    config: Rc<Config>,
    /// The trace, with the span of the request to the upstream.
    trace: Option<TraceContext>,
    /// The span of the client, if the trace is continued.
    parent: Option<TraceContext>,
}

impl From<&Rc<Config>> for Traced {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), trace: None, parent: None }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Traced {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let span = random::u64()?;
        // A repeated header is as malformed as another one.
        let traceparent = request.get_single("traceparent").ok().flatten().filter(|_| !self.config.restart);
        self.parent = traceparent.and_then(|header| TraceContext::parse(&header));
        let trace = if let Some(parent) = &self.parent {
            parent.child(span)
        } else {
            let id = u128::from(random::u64()?) << 64 | u128::from(random::u64()?);
            TraceContext::new(id, span, random::u64()? % 100 < self.config.sample_percent.0)
        };
        self.trace = Some(trace);
        // The members of others belong to the trace that is continued.
        let state = request.get_all("tracestate")?.iter().collect::<Vec<_>>().join(&b","[..]);
        match TraceState::parse(&state).filter(|state| self.parent.is_some() && !state.is_empty()) {
            Some(state) => request.replace("tracestate", state.to_value())?,
            None => request.remove("tracestate")?,
        }
        request.replace("traceparent", trace.to_traceparent())?;
        Ok(FilterHeadersStatus::Continue)
    }

    /// Also called if the client disconnects, or another filter replies.
    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let now = clock::now()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let request = log.request_headers();
        let target = request.get(":path")?;
        let status = log.response_headers().get(":status")?;
        let status = status.as_ref().and_then(|status| status.to_str().ok()?.parse::<u16>().ok());
        let mut line = LogLine::new(MAX_LINE)
            .time("time", now)
            .optional_text("trace", self.trace.map(|trace| trace.trace_id()))
            .optional_text("span", self.trace.map(|trace| trace.span_id()))
            .optional_text("parent", self.parent.map(|parent| parent.span_id()))
            .flag("sampled", self.trace.is_some_and(|trace| trace.is_sampled()))
            .optional_text("method", request.get(":method")?)
            .optional_text("authority", request.get(":authority")?)
            // A query may have secrets.
            .optional_text("path", target.as_deref().map(path))
            // 0 without a response: the client disconnected, or the stream was reset.
            .number("status", status.unwrap_or(0))
            .optional_text("details", stream_info::response().code_details()?);
        if let Some(duration) = stream_info::request().duration()? {
            line = line.milliseconds("duration_ms", duration);
        }
        log::info!("{}", line.finish());
        Ok(())
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A failure to trace does not fail a request.
        FailurePolicy::Open
    }
}
