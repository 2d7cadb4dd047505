//! Adds the response headers of its configuration:
//!
//! ```json
//! {"headers": [{"name": "x-team", "value": "edge"}], "mode": "replace"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{HeaderName, HeaderText};
use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    headers: Vec<Header>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: HeaderName,
    value: HeaderText,
}

/// The treatment of existing headers of the same name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Add,
    Replace,
}

/// Whether a field describes the transmission of a message. With another value, the client could
/// not read the response.
fn is_of_the_message(name: &str) -> bool {
    let fields = ["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    fields.iter().any(|field| name.eq_ignore_ascii_case(field))
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
        // An `Err` refuses the configuration, and the host's log has the path of the bad field.
        let config: Config = configuration.json()?;
        if let Some(index) = config.headers.iter().position(|header| is_of_the_message(&header.name)) {
            return Err(Error::other(format_args!("headers[{index}].name: Envoy writes this field itself")));
        }
        log::info!("{} response headers configured", config.headers.len());
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
    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for Header { name, value } in &self.config.headers {
            match self.config.mode {
                Mode::Add => response.add(name, value)?,
                Mode::Replace => response.replace(name, value)?,
            }
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
