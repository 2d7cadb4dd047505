//! Adds a configured header to every response.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    value: String,
}

/// One request and its response.
#[derive(Debug)]
struct AddHeader {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for AddHeader {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for AddHeader {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace(&self.config.name, &self.config.value)?;
        Ok(FilterHeadersStatus::Continue)
    }
}
