//! Calls a service for every request: a user for the upstream, or 403.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(AuthCallout));
}}

struct AuthCallout;

impl Context for AuthCallout {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        if self.get_http_call_response_header(":status").is_some_and(|status| status == "200") {
            let user = self.get_http_call_response_header("x-user").unwrap_or_default();
            self.set_http_request_header("x-user", Some(&user));
            self.resume_http_request();
        } else {
            self.send_http_response(403, Vec::new(), Some(b"denied\n"));
        }
    }
}

impl HttpContext for AuthCallout {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let authorization = self.get_http_request_header("authorization").unwrap_or_default();
        let headers = vec![
            (":method", "GET"),
            (":path", "/check"),
            (":authority", "authz"),
            ("authorization", authorization.as_str()),
        ];
        if self.dispatch_http_call("authz", headers, None, Vec::new(), Duration::from_secs(5)).is_err() {
            self.send_http_response(403, Vec::new(), Some(b"denied\n"));
        }
        Action::Pause
    }
}
