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
use proxy_filter_kit::llm_usage::Reader;

/// Tokens by client and direction. Clients beyond 200 are counted as `other`.
static TOKENS: CounterVec<2> = CounterVec::new("sse_tokens", ["client", "direction"], 200);

/// One request and its response.
#[derive(Default)]
struct Meter {
    client: HeaderValue,
    /// `None` if the response cannot be read.
    reader: Option<Reader>,
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
        let kind = response.get("content-type")?.unwrap_or_default();
        self.reader = if response.content_codings()?.is_empty() { Reader::new(&kind) } else { None };
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
        if let Some(reader) = &mut self.reader {
            reader.push(&body.to_bytes()?);
        }
        Ok(FilterDataStatus::Continue)
    }

    /// Also called if the client disconnects: it has used the tokens so far.
    fn on_log(&mut self, _: &LogContext) -> Result<()> {
        let usage = self.reader.as_ref().map(Reader::usage).unwrap_or_default();
        for (direction, tokens) in [("input", usage.input), ("output", usage.output)] {
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
