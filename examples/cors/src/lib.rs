//! Allows scripts of other sites to read responses (CORS), and replies to preflight requests.
//!
//! ```json
//! {"origins": ["https://app.example"], "methods": ["PUT"], "headers": ["content-type"], "credentials": true}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{HeaderName, HeaderText};
use proxy_filter::prelude::*;
use proxy_filter_kit::cors::{Builder, Cors, PolicyError, Preflight, RESPONSE_HEADERS, Refused, is_preflight};
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    policy: Cors,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The origins. `*` as the first label stands for all subdomains.
    origins: Vec<HeaderText>,
    /// Methods besides `GET`, `HEAD` and `POST`.
    #[serde(default)]
    methods: Vec<HeaderName>,
    /// Request headers besides those that browsers always allow.
    #[serde(default)]
    headers: Vec<HeaderName>,
    /// Response headers that scripts may read.
    #[serde(default)]
    expose: Vec<HeaderName>,
    /// Whether requests have cookies and credentials.
    #[serde(default)]
    credentials: bool,
    /// The seconds for which a browser remembers the reply to a preflight request.
    max_age: Option<u64>,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { origins, methods, headers, expose, credentials, max_age } = written;
        let builder = origins.iter().fold(Cors::builder(), |builder, origin| builder.origin(&**origin));
        let builder = methods.iter().fold(builder, |builder, method| builder.method(&**method));
        let builder = headers.iter().fold(builder, |builder, name| builder.header(&**name));
        let builder = expose.iter().fold(builder, |builder, name| builder.expose(&**name));
        let builder = if credentials { builder.credentials() } else { builder };
        let builder = max_age.map(Duration::from_secs).into_iter().fold(builder, Builder::max_age);
        let policy = builder.build().map_err(|why| match why {
            PolicyError::Credentials => format!("credentials: {why}"),
            _ => format!("origins: {why}"),
        })?;
        Ok(Self { policy })
    }
}

/// One request and its response.
struct CrossOrigin {
    config: Rc<Config>,
    origin: Option<HeaderValue>,
    /// Whether the response is the reply to a preflight request, which has its headers.
    is_replied: bool,
}

impl From<&Rc<Config>> for CrossOrigin {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), origin: None, is_replied: false }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for CrossOrigin {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        self.origin = request.get("origin")?;
        let method = request.get("access-control-request-method")?;
        if !is_preflight(&request.method()?.unwrap_or_default(), self.origin.as_deref(), method.as_deref()) {
            return Ok(FilterHeadersStatus::Continue);
        }
        self.is_replied = true;
        let names = request.get("access-control-request-headers")?;
        let origin = self.origin.as_deref().unwrap_or_default();
        let preflight = self.config.policy.preflight(origin, &method.unwrap_or_default(), names.as_deref());
        request.reply(reply(preflight))
    }

    /// Also called for local replies of Envoy and of other filters: scripts may read errors too.
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if !self.is_replied {
            for name in RESPONSE_HEADERS {
                response.remove(name)?;
            }
            for (name, value) in self.config.policy.response(self.origin.as_deref()) {
                // The upstream's own `vary` stays.
                response.add(name, value)?;
            }
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

fn reply(preflight: Preflight) -> LocalReply {
    let details = match preflight.refused {
        None => "cors_preflight",
        Some(Refused::Origin) => "cors_origin",
        Some(Refused::Method) => "cors_method",
        Some(_) => "cors_header",
    };
    let reply = LocalReply::new(preflight.status).details(details);
    preflight.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}
