//! As `check_auth`, with a context that is stored for each stream: the cost of a filter with state.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = CheckAuth;

    fn new_context(&self) -> CheckAuth {
        CheckAuth {}
    }
}

struct CheckAuth;

#[proxy_filter::context]
impl Context for CheckAuth {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let authorization = request.get("authorization")?;
        let Some(user) = authorization.as_deref().and_then(|value| value.strip_prefix(b"Bearer ")) else {
            return request
                .reply(LocalReply::new(401).header("www-authenticate", "Bearer").body("a token is needed\n"));
        };
        request.replace("x-user", user)?;
        request.remove("authorization")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
