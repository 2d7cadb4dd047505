//! Takes the bearer token out of `authorization` and hands it on as `x-user`; a request without one
//! is refused.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(CheckAuth));
}}

struct CheckAuth;

impl Context for CheckAuth {}

impl HttpContext for CheckAuth {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let authorization = self.get_http_request_header_bytes("authorization");
        let Some(user) = authorization.as_deref().and_then(|value| value.strip_prefix(b"Bearer ")) else {
            self.send_http_response(401, vec![("www-authenticate", "Bearer")], Some(b"a token is needed\n"));
            return Action::Pause;
        };
        self.set_http_request_header_bytes("x-user", Some(user));
        self.remove_http_request_header("authorization");
        Action::Continue
    }
}
