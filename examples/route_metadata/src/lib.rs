//! Applies settings from the metadata of the request's route, so that operators configure the
//! filter beside their routes.
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

/// The settings of a route. All are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The methods that the route accepts. Default all.
    methods: Vec<String>,
    /// Whether all requests get 503.
    maintenance: bool,
    /// Headers for each response.
    response_headers: BTreeMap<String, String>,
}

/// One request and its response.
#[derive(Debug, Default)]
struct RouteSettings {
    /// The settings of the route that was selected for the request.
    settings: Settings,
}

#[proxy_filter::filter]
impl Context for RouteSettings {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        // A mistake in the metadata is an error with the path of the field. It fails only the
        // requests of that route.
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
