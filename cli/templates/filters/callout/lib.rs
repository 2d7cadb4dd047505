//! Calls an authorization service for every request. A request is refused if the call fails.

#[cfg(test)]
mod tests;

use proxy_filter::callout::{HttpCallResponse, InHost};
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: String,
    path: String,
    timeout_ms: u64,
}

/// One request and its response.
#[derive(Debug)]
struct Auth {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Auth {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>, http_calls)]
impl Context for Auth {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        // Only the authorization service names the user.
        request.remove("x-user")?;
        let call = HttpCall::get(&self.config.cluster, &self.config.path)
            .header("authorization", request.get("authorization")?.unwrap_or_default())
            .timeout(Duration::from_millis(self.config.timeout_ms));
        request.pause_for(self, call, |_, request, response| decide(request, response))
    }
}

/// Applies the result of the call to the request.
fn decide(
    request: &mut RequestHeaders,
    response: Result<&HttpCallResponse<InHost>, CalloutError>,
) -> Result<FilterHeadersStatus> {
    match response.and_then(HttpCallResponse::outage_for_status) {
        Ok(response) if response.status() == 200 => {
            if let Some(user) = response.header("x-user")? {
                request.replace("x-user", user)?;
            }
            Ok(FilterHeadersStatus::Continue)
        }
        Ok(_) | Err(CalloutError::Refused(_)) => request.reply(LocalReply::new(403).details("authz_denied")),
        Err(_) => request.reply(LocalReply::new(503).header("retry-after", "1").details("authz_outage")),
    }
}
