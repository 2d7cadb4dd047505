//! The example `http_auth_callout`: the filter of `http_auth_async` written as callbacks.

use proxy_filter::HttpCallResponse;
use proxy_filter::log;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the authorization service.
    cluster: String,
    /// What is asked for there.
    #[serde(default = "check")]
    path: String,
    /// How long a request waits for the answer.
    #[serde(default = "timeout")]
    timeout_ms: u64,
    /// What happens to a request about which nobody can be asked.
    #[serde(default)]
    on_outage: Outage,
}

fn check() -> String {
    "/check".to_owned()
}

const fn timeout() -> u64 {
    200
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outage {
    /// 503.
    #[default]
    Deny,
    /// It passes, without a user.
    Allow,
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

#[proxy_filter::context(http_calls)]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let Some(config) = self.config.clone() else { return Err(Error::other("not configured")) };
        // Nobody but the authorization service says who the user is.
        request.remove("x-user")?;
        let mut call = HttpCall::get(&config.cluster, &config.path)
            .header("x-original-method", request.method()?.unwrap_or_default())
            .header("x-original-path", request.path()?.unwrap_or_default())
            .timeout(Duration::from_millis(config.timeout_ms));
        if let Some(authorization) = request.get("authorization")? {
            call = call.header("authorization", authorization);
        }
        // The request waits. Should the client leave meanwhile, the closure is dropped and never runs.
        request.pause_for(self, call, move |_, request, answer| decide(config.on_outage, request, answer))
    }
}

/// What the answer of the authorization service, or its absence, means for the request.
fn decide(
    on_outage: Outage,
    request: &mut RequestHeaders,
    answer: Result<&HttpCallResponse, CalloutError>,
) -> Result<FilterHeadersStatus> {
    let why = match answer {
        Ok(answer) => match answer.status() {
            200 => {
                if let Some(user) = answer.header("x-user")? {
                    request.replace("x-user", user)?;
                }
                return Ok(FilterHeadersStatus::Continue);
            }
            status @ (401 | 403) => return request.reply(refusal(status, answer)?),
            status => format!("it answered {status}"),
        },
        Err(why) => why.to_string(),
    };
    log::warn!("the authorization service is of no help: {why}");
    match on_outage {
        Outage::Allow => Ok(FilterHeadersStatus::Continue),
        Outage::Deny => request.reply(
            LocalReply::new(503).header("retry-after", "1").details("authz_outage").body("try again in a second\n"),
        ),
    }
}

/// The service's refusal, as the client gets it: its status, its challenge, its body.
fn refusal(status: u16, answer: &HttpCallResponse) -> Result<LocalReply> {
    let mut reply = LocalReply::new(status).details("authz_denied").body(answer.body()?);
    if let Some(challenge) = answer.header("www-authenticate")? {
        reply = reply.header("www-authenticate", challenge);
    }
    Ok(reply)
}
