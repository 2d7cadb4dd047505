//! Logs every request and response header at info.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| Box::new(DumpHeaders));
}}

struct DumpHeaders;

impl Context for DumpHeaders {}

impl HttpContext for DumpHeaders {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        for (name, value) in self.get_http_request_headers() {
            log::info!("{name}: {value}");
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        for (name, value) in self.get_http_response_headers() {
            log::info!("{name}: {value}");
        }
        Action::Continue
    }
}
