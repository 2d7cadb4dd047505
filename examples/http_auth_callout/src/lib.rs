//! Calls an authorization service for every request. The response decides about the request. The
//! configuration decides while the service is down.
//!
//! ```json
//! {"cluster": "authz", "path": "/check", "timeout_ms": 200, "on_outage": "deny"}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::callout::{HttpCallResponse, InHost};
use proxy_filter::configured::{ClusterName, HeaderName, RequestPath};
use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: ClusterName,
    /// The path of the call; default `/check`.
    path: Option<RequestPath>,
    /// The maximum time for the response, in milliseconds.
    #[serde(default = "timeout")]
    timeout_ms: u64,
    /// The request headers that the service receives. Headers about the message, for example
    /// `content-length`, are never sent.
    #[serde(default = "authorization")]
    headers: Vec<HeaderName>,
    /// The maximum number of bytes that the service receives of a request. Some services close the
    /// connection if a request is too large for them, which looks like an outage.
    #[serde(default = "seven_kib")]
    max_bytes: usize,
    /// The policy while the service is down.
    #[serde(default)]
    on_outage: Outage,
}

const fn timeout() -> u64 {
    200
}

fn authorization() -> Vec<HeaderName> {
    HeaderName::new("authorization").into_iter().collect()
}

/// Most services accept 8 KiB, including the headers that Envoy adds.
const fn seven_kib() -> usize {
    7 * 1024
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outage {
    /// The client gets 503.
    #[default]
    Deny,
    /// The request is forwarded without a user.
    Allow,
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
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let on_outage = self.config.on_outage;
        // Only the authorization service names the user.
        request.remove("x-user")?;
        let Some(call) = question(&self.config, request)? else {
            return request.reply(LocalReply::new(431).details("authz_too_long").body("too long\n"));
        };
        // The request is paused. If the client disconnects, the closure is dropped and never runs.
        request.pause_for(self, call, move |_, request, answer| decide(on_outage, request, answer))
    }
}

/// Builds the call to the service. `None` if it would be too large.
fn question(config: &Config, request: &RequestHeaders) -> Result<Option<HttpCall>> {
    let (method, path) = (request.method()?.unwrap_or_default(), request.path()?.unwrap_or_default());
    let fields = request.pairs()?;
    let is_shown = |name: &[u8]| config.headers.iter().any(|shown| shown.as_bytes().eq_ignore_ascii_case(name));
    // All values, as the upstream gets them: the service decides which one counts.
    let shown = fields.iter().filter(|(name, _)| is_shown(name));
    let bytes: usize = shown.clone().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = bytes + method.len() + path.len();
    let call = HttpCall::get(&config.cluster, config.path.as_deref().unwrap_or("/check"))
        .header("x-original-method", method)
        .header("x-original-path", path)
        .headers_from(shown)
        .timeout(Duration::from_millis(config.timeout_ms));
    Ok((bytes <= config.max_bytes).then_some(call))
}

/// Applies the result of the call to the request. A failure that a client can provoke is not an
/// outage.
fn decide(
    on_outage: Outage,
    request: &mut RequestHeaders,
    answer: Result<&HttpCallResponse<InHost>, CalloutError>,
) -> Result<FilterHeadersStatus> {
    match answer.and_then(HttpCallResponse::outage_for_status) {
        Ok(answer) if answer.status() == 200 => {
            if let Some(user) = answer.header("x-user")? {
                request.replace("x-user", user)?;
            }
            Ok(FilterHeadersStatus::Continue)
        }
        Ok(answer) if matches!(answer.status(), 401 | 403) => request.reply(refusal(answer)?),
        Ok(answer) => {
            log::info!("the authorization service responded with {}", answer.status());
            request.reply(LocalReply::new(403).details("authz_denied"))
        }
        Err(CalloutError::Refused(why)) => {
            log::info!("the authorization service was not called: {why}");
            request.reply(LocalReply::new(403).details("authz_not_asked"))
        }
        Err(CalloutError::Outage(why)) => {
            log::warn_limited!("the authorization service is unavailable: {why}");
            match on_outage {
                Outage::Allow => Ok(FilterHeadersStatus::Continue),
                Outage::Deny => request.reply(
                    LocalReply::new(503)
                        .header("retry-after", "1")
                        .details("authz_outage")
                        .body("try again in a second\n"),
                ),
            }
        }
    }
}

/// Returns the service's refusal for the client: its status, challenges and body, with the type and
/// the encoding of the body.
fn refusal(answer: &HttpCallResponse<InHost>) -> Result<LocalReply> {
    let fields = answer.headers()?;
    let relayed = fields.iter().filter(|(name, _)| RELAYED.contains(name));
    let reply = LocalReply::new(answer.status()).details("authz_denied").body(answer.body()?);
    Ok(relayed.fold(reply, |reply, (name, value)| reply.header(name, value)))
}

const RELAYED: [&[u8]; 3] = [b"www-authenticate", b"content-type", b"content-encoding"];
