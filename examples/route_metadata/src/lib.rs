//! Does what the metadata of the request's route says, so that operators steer the filter where
//! they write their routes.
//!
//! ```yaml
//! metadata:
//!   filter_metadata:
//!     com.example.route:
//!       methods: [GET, HEAD]
//!       maintenance: false
//!       response_headers: { cache-control: no-store }
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::metadata;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The namespace of this filter's metadata.
const NAMESPACE: &str = "com.example.route";

/// What is written beside a route. All of it is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The methods that the route accepts; every method if there are none.
    methods: Vec<String>,
    /// Whether requests are answered with 503 instead.
    maintenance: bool,
    /// Headers for each response.
    response_headers: BTreeMap<String, String>,
}

/// The plugin. It has no configuration of its own.
#[derive(Debug, Default)]
pub struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream::default()
    }
}

/// One request and its response.
#[derive(Debug, Default)]
pub struct Stream {
    /// Those of the route that was chosen when the request came.
    settings: Settings,
}

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        // A mistake in the metadata is an error that names the field; it fails the requests of that
        // route only.
        self.settings = metadata::route().json(NAMESPACE)?.unwrap_or_default();
        let Settings { methods, maintenance, .. } = &self.settings;
        if *maintenance {
            return request.reply(LocalReply::new(503).details("maintenance").body("back soon\n"));
        }
        let method = request.method()?.unwrap_or_default();
        if methods.is_empty() || methods.iter().any(|allowed| method == allowed.as_str()) {
            return Ok(FilterHeadersStatus::Continue);
        }
        request.reply(LocalReply::new(405).header("allow", methods.join(", ")).details("method"))
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for (name, value) in &self.settings.response_headers {
            response.replace(name, value)?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
