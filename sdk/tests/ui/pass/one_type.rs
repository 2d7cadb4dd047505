//! A filter that is one type, from a configuration that streams share.

use proxy_filter::prelude::*;
use std::rc::Rc;

#[derive(serde::Deserialize)]
pub struct Config {
    value: String,
}

struct Stamp {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Stamp {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Stamp {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.replace("x-stamp", &self.config.value)?;
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
