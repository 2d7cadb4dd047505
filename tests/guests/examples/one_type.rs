//! A filter that is one type, with a configuration that its streams share.

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    value: String,
}

/// One request and its response.
#[derive(Debug)]
pub struct Stamp {
    config: Rc<Config>,
    path: String,
}

impl From<&Rc<Config>> for Stamp {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), path: String::new() }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Stamp {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        self.path = request.get(":path")?.unwrap_or_default().to_string();
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace("x-stamp", [&*self.config.value, " ", &*self.path].concat())?;
        Ok(FilterHeadersStatus::Continue)
    }
}
