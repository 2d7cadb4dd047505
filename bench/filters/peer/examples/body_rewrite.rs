//! Replaces the response's body.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(BodyRewrite));
}}

struct BodyRewrite;

impl Context for BodyRewrite {}

impl HttpContext for BodyRewrite {
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.remove_http_response_header("content-length");
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        if size > 0 {
            self.set_http_response_body(0, size, b"rewritten by a filter\n");
        }
        Action::Continue
    }
}
