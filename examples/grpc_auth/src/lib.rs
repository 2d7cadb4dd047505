//! Calls an external authorization service over gRPC for each request. The protocol is Envoy's own,
//! so a service for Envoy's `ext_authz` filter works unchanged.
//!
//! ```json
//! {"cluster": "authz", "timeout_ms": 200}
//! ```

#[cfg(test)]
mod tests;

pub mod ext_authz;

use ext_authz::{
    AttributeContext, Authorization, CheckRequest, CheckResponse, HttpRequest, HttpResponse, OkHttpResponse, Request,
};
use proxy_filter::configured::ClusterName;
use proxy_filter::prelude::*;
use proxy_filter::{
    grpc::{GrpcCode, GrpcError},
    log,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: ClusterName,
    /// The maximum time for the decision, in milliseconds.
    #[serde(default = "default_timeout")]
    timeout_ms: u32,
    /// Whether requests are forwarded while the service is down.
    #[serde(default)]
    fail_open: bool,
}

const fn default_timeout() -> u32 {
    200
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

#[proxy_filter::filter(config = Rc<Config>, grpc_calls)]
impl Context for Auth {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let (fail_open, timeout) = (self.config.fail_open, Duration::from_millis(self.config.timeout_ms.into()));
        let call = Authorization::new(&self.config.cluster).check(&question(request)?).timeout(timeout);
        request.pause_for(self, call, move |_, request, answer| match answer {
            Ok(decision) => apply(decision, request),
            Err(GrpcError::Outage(why)) if fail_open => {
                log::warn_limited!("no decision: {why}");
                Ok(FilterHeadersStatus::Continue)
            }
            Err(why) => request.reply(no_decision(&why)),
        })
    }
}

/// Replies to a request without a decision. A client can provoke any failure that is not an outage,
/// so such a request is never forwarded.
fn no_decision(why: &GrpcError) -> LocalReply {
    match why.code() {
        // The service rejects the call.
        GrpcCode::INVALID_ARGUMENT
        | GrpcCode::PERMISSION_DENIED
        | GrpcCode::RESOURCE_EXHAUSTED
        | GrpcCode::UNAUTHENTICATED => {
            log::info!("no decision: {why}");
            LocalReply::new(403).details("ext_authz_denied")
        }
        _ => {
            log::warn_limited!("no decision: {why}");
            LocalReply::new(503).details("ext_authz_error")
        }
    }
}

/// Builds the request to the service. Bytes that are not UTF-8 are replaced, because the message
/// contains text.
fn question(request: &RequestHeaders) -> Result<CheckRequest> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &request.pairs()? {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        match headers.get_mut(&*name) {
            Some(known) => known.extend([",", &value]),
            None => drop(headers.insert(name.into_owned(), value.into_owned())),
        }
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let (method, path, host) = (header(":method"), header(":path"), header(":authority"));
    let http = HttpRequest { method, headers, path, host };
    Ok(CheckRequest { attributes: Some(AttributeContext { request: Some(Request { http: Some(http) }) }) })
}

/// Applies the decision of the service.
fn apply(decision: CheckResponse, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    // A missing status is the status 0: messages leave out zeros.
    let allowed = decision.status.is_none_or(|status| status.code == 0);
    match decision.http_response {
        Some(HttpResponse::Ok(ok)) if allowed => match change(ok, request) {
            Ok(()) => Ok(FilterHeadersStatus::Continue),
            // Without these changes, this is not the request that the service has allowed.
            Err(why) => {
                log::warn_limited!("the service's headers cannot be set: {why}");
                request.reply(LocalReply::new(503).details("ext_authz_error"))
            }
        },
        None if allowed => Ok(FilterHeadersStatus::Continue),
        Some(HttpResponse::Denied(denied)) => {
            let status = denied.status.map_or(403, |status| status.code);
            let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status)).unwrap_or(403);
            let mut reply = LocalReply::new(status).details("ext_authz_denied").body(denied.body);
            for header in denied.headers.into_iter().filter_map(|option| option.header) {
                reply = reply.header(header.key, header.value);
            }
            request.reply(reply)
        }
        _ => request.reply(LocalReply::new(403).details("ext_authz_denied")),
    }
}

/// Applies the header changes of the service.
fn change(ok: OkHttpResponse, request: &mut RequestHeaders) -> Result<()> {
    for name in ok.headers_to_remove {
        request.remove(name)?;
    }
    for header in ok.headers.into_iter().filter_map(|option| option.header) {
        request.replace(header.key, header.value)?;
    }
    Ok(())
}
