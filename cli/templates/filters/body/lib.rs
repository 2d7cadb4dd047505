//! Replaces a text in the bodies of responses.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    find: NonEmpty,
    replace: String,
}

/// A text that is not empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct NonEmpty(String);

impl TryFrom<String> for NonEmpty {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Err("must not be empty") } else { Ok(Self(text)) }
    }
}

/// One request and its response.
#[derive(Debug)]
struct ReplaceText {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for ReplaceText {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for ReplaceText {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // A text can only be found in a whole body without compression.
        request.replace("accept-encoding", "identity")?;
        request.remove("range")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, end: bool) -> Result<FilterHeadersStatus> {
        if !end {
            // The length may change: this removes `content-length`.
            response.allow_body_edits()?;
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_body(&mut self, body: &mut ResponseBody, end_of_stream: bool) -> Result<FilterDataStatus> {
        if !end_of_stream {
            // Envoy buffers the body, and the next callback sees all of it: at most 1 MiB by
            // default.
            return Ok(FilterDataStatus::Pause);
        }
        let Config { find: NonEmpty(find), replace } = &*self.config;
        let bytes = body.to_bytes()?;
        if let Ok(text) = std::str::from_utf8(&bytes)
            && text.contains(find)
        {
            body.replace(text.replace(find, replace))?;
        }
        Ok(FilterDataStatus::Continue)
    }
}
