//! Adds the response headers of its configuration:
//!
//! ```json
//! {"headers": [{"name": "x-team", "value": "edge"}], "mode": "replace"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{HeaderName, HeaderText};
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Config {
    /// The headers of each response.
    headers: Vec<Header>,
    /// What happens to existing headers of the same name.
    #[serde(default)]
    mode: Mode,
}

/// A header of each response.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Header {
    name: SettableName,
    value: HeaderText,
}

/// The treatment of existing headers of the same name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Add,
    Replace,
}

/// The name of a header that a filter may set.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "HeaderName"))]
#[serde(try_from = "HeaderName")]
struct SettableName(HeaderName);

impl TryFrom<HeaderName> for SettableName {
    type Error = &'static str;

    /// Refuses the fields that describe the transmission of a message. With another value, the
    /// client could not read the response. The log of the host has this text and the path of the
    /// field.
    fn try_from(name: HeaderName) -> Result<Self, Self::Error> {
        let fields = ["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
        if fields.iter().any(|field| name.eq_ignore_ascii_case(field)) {
            return Err("Envoy writes this field itself");
        }
        Ok(Self(name))
    }
}

/// One request and its response.
#[derive(Debug)]
struct AddHeaders {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for AddHeaders {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for AddHeaders {
    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for Header { name: SettableName(name), value } in &self.config.headers {
            match self.config.mode {
                Mode::Add => response.add(name, value)?,
                Mode::Replace => response.replace(name, value)?,
            }
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
