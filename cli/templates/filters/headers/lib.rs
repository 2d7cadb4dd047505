//! Adds a configured header to every response.

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    value: String,
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
        self.config = Rc::new(configuration.json()?);
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
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace(&self.config.name, &self.config.value)?;
        Ok(FilterHeadersStatus::Continue)
    }
}
