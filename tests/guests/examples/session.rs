//! Forwards requests of known sessions, and sends the user to the upstream.
//!
//! `session_peer.rs` is the same filter on `proxy-wasm`. The guide shows the difference.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]

use proxy_filter::configured::ClusterName;
use proxy_filter::metric::Counter;
use proxy_filter::prelude::*;
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

static DENIED: Counter = Counter::new("session_denied");

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the session service.
    cluster: ClusterName,
    /// The maximum time of a call, in milliseconds.
    timeout_ms: u64,
}

/// One request and its response.
struct Session {
    config: Rc<Config>,
    is_known: bool,
}

impl From<&Rc<Config>> for Session {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), is_known: false }
    }
}

fn deny(status: u16, body: &str) -> Result<LocalReply> {
    DENIED.increment(1)?;
    Ok(LocalReply::new(status).header("content-type", "text/plain").body(body))
}

#[proxy_filter::filter(config = Rc<Config>, http_calls)]
impl Context for Session {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let Some(session) = request.get("x-session")? else {
            return request.reply(deny(401, "no session\n")?);
        };
        let call = HttpCall::get(&self.config.cluster, "/session")
            .authority("sessions")
            .header("x-session", session)
            .timeout(Duration::from_millis(self.config.timeout_ms));
        request.pause_for(self, call, |context, request, response| match response {
            Ok(response) if response.status() == 200 => {
                request.replace("x-user", response.header("x-user")?.unwrap_or_default())?;
                request.remove("x-session")?;
                context.is_known = true;
                Ok(FilterHeadersStatus::Continue)
            }
            Ok(response) if !response.is_outage() => request.reply(deny(403, "unknown session\n")?),
            _ => request.reply(deny(503, "try again\n")?),
        })
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if self.is_known {
            response.replace("cache-control", "private")?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
