//! Calls a service for every request: a user for the upstream, or 403.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = AuthCallout;

    fn new_context(&self) -> AuthCallout {
        AuthCallout
    }
}

struct AuthCallout;

#[proxy_filter::context(http_calls)]
impl Context for AuthCallout {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let authorization = request.get("authorization")?.unwrap_or_default();
        let call = HttpCall::get("authz", "/check").header("authorization", authorization);
        request.pause_for(self, call, |_, request, answer| match answer {
            Ok(answer) if answer.status() == 200 => {
                request.replace("x-user", answer.header("x-user")?.unwrap_or_default())?;
                Ok(FilterHeadersStatus::Continue)
            }
            _ => request.reply(LocalReply::new(403).body("denied\n")),
        })
    }
}
