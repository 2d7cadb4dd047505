//! Asks an external authorization service whether a request may pass, over gRPC and in Envoy's own
//! protocol: a service for Envoy's `ext_authz` filter does.
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

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: ClusterName,
    /// How long a request waits for the decision.
    #[serde(default = "default_timeout")]
    timeout_ms: u32,
    /// Lets requests pass when there is no decision.
    #[serde(default)]
    fail_open: bool,
}

const fn default_timeout() -> u32 {
    200
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Root {
    /// There is one as soon as there are streams: a plugin whose configuration is refused has none.
    config: Option<Rc<Config>>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.config = Some(Rc::new(configuration.json()?));
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { config: self.config.clone() }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream {
    config: Option<Rc<Config>>,
}

#[proxy_filter::context(grpc_calls)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let Some(config) = self.config.clone() else { return Err(Error::other("not configured")) };
        let question = question(request)?;
        let call = Authorization::new(&config.cluster)
            .check(&question)
            .timeout(Duration::from_millis(config.timeout_ms.into()));
        request.pause_for(self, call, move |_, request, answer| match answer {
            Ok(decision) => apply(decision, request),
            Err(GrpcError::Outage(why)) if config.fail_open => {
                log::warn_limited!("no decision: {why}");
                Ok(FilterHeadersStatus::Continue)
            }
            Err(why) => request.reply(no_decision(&why)),
        })
    }
}

/// The answer without a decision. A client can provoke all that is no outage: it never passes.
fn no_decision(why: &GrpcError) -> LocalReply {
    match why.code() {
        // The service does not take the question.
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

/// Builds the request to the service. A text field of a message cannot have bytes that are not
/// UTF-8: they are replaced.
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

/// Does what the service says.
fn apply(decision: CheckResponse, request: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    // No status is the status 0: messages leave out what is 0.
    let allowed = decision.status.is_none_or(|status| status.code == 0);
    match decision.http_response {
        Some(HttpResponse::Ok(ok)) if allowed => match change(ok, request) {
            Ok(()) => Ok(FilterHeadersStatus::Continue),
            // Without a change that the service asks for, the request is not the one that may pass.
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

/// Changes the headers as the service says.
fn change(ok: OkHttpResponse, request: &mut RequestHeaders) -> Result<()> {
    for name in ok.headers_to_remove {
        request.remove(name)?;
    }
    for header in ok.headers.into_iter().filter_map(|option| option.header) {
        request.replace(header.key, header.value)?;
    }
    Ok(())
}
