//! Redacts card numbers in responses: all but the last four digits of each run of 13 to 19 digits.
//!
//! Chunks are forwarded as they arrive. A body of any length therefore needs little memory, and the
//! events of a stream are not delayed. A body that cannot be read is refused before any of it
//! reaches the client: a compressed body, a part of a body, or UTF-16.

mod cards;
mod readable;
#[cfg(test)]
mod tests;

use cards::{Cards, Step};
use proxy_filter::prelude::*;

/// One request and its response.
#[derive(Debug, Default)]
struct Redaction {
    /// The request opens a tunnel.
    connect: bool,
    /// `Some` if the response is redacted.
    cards: Option<Cards>,
}

#[proxy_filter::filter]
impl Context for Redaction {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // Numbers can only be found in a whole body without compression.
        request.replace("accept-encoding", "identity")?;
        for name in ["range", "if-range", "a-im"] {
            request.remove(name)?;
        }
        self.connect = request.method()?.is_some_and(|method| method == "CONNECT");
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let status = response.status()?.unwrap_or_default();
        let tunnel = status == 101 || self.connect && (200..300).contains(&status);
        let media = response.media_type()?;
        if tunnel || !readable::may_be_text(media.as_ref()) {
            return Ok(FilterHeadersStatus::Continue);
        }
        // A message that ends with its headers has no body, but may describe the body of a GET.
        let obstacle = if end_of_stream { None } else { readable::obstacle(response, status, media.as_ref())? };
        if let Some(why) = obstacle {
            return response.reply(LocalReply::new(502).details(why).body("the response cannot be inspected\n"));
        }
        let content_length = response.get("content-length")?.filter(|_| end_of_stream);
        response.allow_body_edits()?;
        response.remove("accept-ranges")?;
        if let Some(length) = content_length {
            response.replace("content-length", length)?;
        }
        self.cards = (!end_of_stream).then(Cards::default);
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        let Some(cards) = &mut self.cards else { return Ok(FilterDataStatus::Continue) };
        let visible = body.to_bytes()?;
        match cards.push(&visible, end_of_stream)? {
            // The next callback sees this chunk again, followed by the next one.
            Step::Buffer => return Ok(FilterDataStatus::StopIterationAndBuffer),
            Step::Forward(redacted) if redacted != visible => body.replace(redacted)?,
            Step::Forward(_) => {}
        }
        Ok(FilterDataStatus::Continue)
    }

    fn on_response_trailers(&mut self, trailers: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
        if self.cards.is_some() {
            // Trailers may contain digests as well.
            trailers.allow_body_edits()?;
        }
        Ok(FilterTrailersStatus::Continue)
    }
}
