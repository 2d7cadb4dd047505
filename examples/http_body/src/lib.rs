//! Redacts what looks like a card number in text responses: all digits of a run of 13 to 19 but the last four.
//!
//! The whole body is needed, because a number may be spread over two pieces. The redacted body is as long as the original, but the
//! filter does not rely on it: it removes `content-length`, so that the redaction may change.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;

/// The plugin.
#[derive(Debug, Default)]
pub struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream { redact: false }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    redact: bool,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let text = response
            .get("content-type")?
            .is_some_and(|value| value.starts_with(b"text/") || value.starts_with(b"application/json"));
        // A message that ends with its headers keeps them: the answer to HEAD says how long the body would be.
        self.redact = text && !end_of_stream;
        if self.redact {
            response.remove("content-length")?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !self.redact {
            return Ok(FilterDataStatus::Continue);
        }
        // `end_of_stream` comes exactly once, also when trailers end the body.
        if !end_of_stream {
            return Ok(FilterDataStatus::StopIterationAndBuffer);
        }
        let original = body.to_bytes()?;
        let redacted = redact(&original);
        if redacted != original {
            body.replace(redacted)?;
        }
        Ok(FilterDataStatus::Continue)
    }
}

/// Runs of digits of these lengths are card numbers.
const CARD_DIGITS: core::ops::RangeInclusive<usize> = 13..=19;
/// The last digits stay.
const SHOWN_DIGITS: usize = 4;

/// Replaces the hidden digits by stars.
fn redact(body: &[u8]) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(body.len());
    for run in body.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        let card = CARD_DIGITS.contains(&run.len()) && run.first().is_some_and(u8::is_ascii_digit);
        let hidden = if card { run.len() - SHOWN_DIGITS } else { 0 };
        redacted.resize(redacted.len() + hidden, b'*');
        redacted.extend_from_slice(run.get(hidden..).unwrap_or_default());
    }
    redacted
}
