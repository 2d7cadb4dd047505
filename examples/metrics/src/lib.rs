//! Counts responses by method and status, measures their duration, and shows the number of requests
//! in flight.

#[cfg(test)]
mod tests;

use proxy_filter::clock;
use proxy_filter::metric::{CounterVec, Gauge, Histogram};
use proxy_filter::prelude::*;
use std::time::SystemTime;

/// In Envoy this is `wasmcustom.metrics_responses.method.GET.status.200`, or with the tags of
/// README.md `metrics_responses{method="GET",status="200"}`. Clients can invent methods, so
/// combinations beyond 50 are counted as `other`.
static RESPONSES: CounterVec<2> = CounterVec::new("metrics_responses", ["method", "status"], 50);
static IN_FLIGHT: Gauge = Gauge::new("metrics_in_flight");
static LATENCY: Histogram = Histogram::new("metrics_latency_ms");

/// The plugin.
#[derive(Debug, Default)]
pub struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
        // Envoy now shows them with the value 0. It shows a histogram once it has a value.
        IN_FLIGHT.define()
    }

    fn new_context(&self) -> Stream {
        Stream { started: None }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    /// The time of the request headers. `None` if Envoy refused the request before its filters ran.
    started: Option<SystemTime>,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        _request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        self.started = Some(clock::now()?);
        IN_FLIGHT.increment(1)?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        let Some(started) = self.started else { return Ok(()) };
        IN_FLIGHT.increment(-1)?;
        let latency = clock::now()?.duration_since(started).unwrap_or_default();
        LATENCY.record(latency.as_secs() * 1000 + u64::from(latency.subsec_millis()))?;
        let method = log.request_headers().get(":method")?.unwrap_or_default();
        let status = log.response_headers().get(":status")?.unwrap_or_default();
        RESPONSES.increment([method, status], 1)
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A failure to count does not fail a request.
        FailurePolicy::Open
    }
}
