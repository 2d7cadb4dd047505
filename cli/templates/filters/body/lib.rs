//! Replaces a text in the bodies of responses.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    find: String,
    replace: String,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Root {
    config: Rc<Config>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let config: Config = configuration.json()?;
        if config.find.is_empty() {
            return Err(Error::other("find: must not be empty"));
        }
        self.config = Rc::new(config);
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { config: Rc::clone(&self.config) }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    config: Rc<Config>,
}

#[proxy_filter::context]
impl Context for Stream {
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
        let bytes = body.to_bytes()?;
        if let Ok(text) = std::str::from_utf8(&bytes)
            && text.contains(&self.config.find)
        {
            body.replace(text.replace(&self.config.find, &self.config.replace))?;
        }
        Ok(FilterDataStatus::Continue)
    }
}
