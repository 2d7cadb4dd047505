//! Counts the tokens of language models in responses, streamed or not, and adds them to a metric
//! for each client.
//!
//! The counts are read in the shapes of several providers. The client's name is in `x-client`, as
//! an authentication filter before this one sets it.

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::metric::CounterVec;
use proxy_filter::prelude::*;
use proxy_filter_kit::event_stream::Decoder;
use proxy_filter_kit::json::{Extractor, Value};

/// Tokens by client and direction. Clients beyond 200 are counted as `other`.
static TOKENS: CounterVec<2> = CounterVec::new("sse_tokens", ["client", "direction"], 200);

/// The members with counts: those of the input, then those of the output. A later count of a
/// response replaces an earlier one, because streams repeat the sum so far.
const PATHS: [&str; 7] = [
    "/usage/prompt_tokens",
    "/usage/input_tokens",
    "/message/usage/input_tokens",
    "/usageMetadata/promptTokenCount",
    "/usage/completion_tokens",
    "/usage/output_tokens",
    "/usageMetadata/candidatesTokenCount",
];
/// The number of paths of the input.
const INPUT: usize = 4;

/// The maximum size of an event. A larger one is forwarded and not counted.
const MAX_EVENT: usize = 64 * 1024;

/// One request and its response.
#[derive(Default)]
struct Meter {
    client: HeaderValue,
    body: Option<Format>,
    used: Used,
}

/// The format of a response.
enum Format {
    Events(Decoder),
    Json(Extractor),
}

/// The tokens of a response.
#[derive(Default)]
struct Used {
    input: u64,
    output: u64,
}

#[proxy_filter::filter]
impl Context for Meter {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        self.client = request.get("x-client")?.unwrap_or_default();
        // A compressed response cannot be read.
        request.replace("accept-encoding", "identity")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let media = response.media_type()?;
        let is = |name: &str| media.as_ref().is_some_and(|media| media.essence() == name);
        self.body = if !response.content_codings()?.is_empty() {
            None
        } else if is("text/event-stream") {
            Some(Format::Events(Decoder::new(MAX_EVENT)))
        } else if is("application/json") {
            extractor().map(Format::Json)
        } else {
            None
        };
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
        let used = &mut self.used;
        match &mut self.body {
            Some(Format::Events(events)) => events.push(&body.to_bytes()?, |event| {
                if let Some(mut json) = extractor() {
                    // `[DONE]` and other texts that are not JSON have no counts.
                    let _ = json.push(&event.data, |path, value| used.add(path, value));
                    let _ = json.finish(|path, value| used.add(path, value));
                }
            }),
            // After a fault, the rest is forwarded and not read.
            Some(Format::Json(json)) => drop(json.push(&body.to_bytes()?, |path, value| used.add(path, value))),
            None => {}
        }
        Ok(FilterDataStatus::Continue)
    }

    /// Also called if the client disconnects: it has used the tokens so far.
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        for (direction, tokens) in [("input", self.used.input), ("output", self.used.output)] {
            if tokens > 0 {
                TOKENS.increment([&*self.client, direction.as_bytes()], tokens)?;
                log::info!("{} used {tokens} {direction} tokens", escaped(&self.client));
            }
        }
        Ok(())
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A failure to count does not fail a request.
        FailurePolicy::Open
    }
}

fn extractor() -> Option<Extractor> {
    Extractor::new(PATHS, 64).ok()
}

impl Used {
    fn add(&mut self, path: usize, value: Value<'_>) {
        let Value::Number(number) = value else { return };
        let count = if path < INPUT { &mut self.input } else { &mut self.output };
        *count = number.parse().unwrap_or(*count);
    }
}
