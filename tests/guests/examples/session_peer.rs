//! Forwards requests of known sessions, and sends the user to the upstream.
//!
//! On `proxy-wasm`: `session.rs` is the same filter on this SDK. The guide shows the difference.
#![allow(clippy::all, clippy::pedantic, missing_docs, missing_debug_implementations, unsafe_code)]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MetricType};
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        let denied = hostcalls::define_metric(MetricType::Counter, "session_denied").unwrap_or(0);
        Box::new(Root { config: Rc::default(), denied })
    });
}}

/// The configuration.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the session service.
    cluster: String,
    /// The maximum time of a call, in milliseconds.
    timeout_ms: u64,
}

struct Root {
    config: Rc<Config>,
    denied: u32,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice(&bytes) {
            Ok(config) => {
                self.config = Rc::new(config);
                true
            }
            Err(error) => {
                log::error!("the configuration is refused: {error}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Session { config: self.config.clone(), denied: self.denied, is_known: false }))
    }
}

/// One request and its response.
struct Session {
    config: Rc<Config>,
    denied: u32,
    is_known: bool,
}

impl Session {
    fn deny(&self, status: u32, body: &str) {
        let _ = hostcalls::increment_metric(self.denied, 1);
        self.send_http_response(status, vec![("content-type", "text/plain")], Some(body.as_bytes()));
    }
}

impl Context for Session {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        let status = self.get_http_call_response_header(":status");
        match status.as_deref() {
            Some("200") => {
                let user = self.get_http_call_response_header("x-user").unwrap_or_default();
                self.set_http_request_header("x-user", Some(&user));
                self.set_http_request_header("x-session", None);
                self.is_known = true;
                self.resume_http_request();
            }
            Some(status) if !status.starts_with('5') => self.deny(403, "unknown session\n"),
            _ => self.deny(503, "try again\n"),
        }
    }
}

impl HttpContext for Session {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(session) = self.get_http_request_header_bytes("x-session") else {
            self.deny(401, "no session\n");
            return Action::Pause;
        };
        let session = String::from_utf8_lossy(&session).into_owned();
        let headers = vec![
            (":method", "GET"),
            (":path", "/session"),
            (":authority", "sessions"),
            ("x-session", session.as_str()),
        ];
        let timeout = Duration::from_millis(self.config.timeout_ms);
        if self.dispatch_http_call(&self.config.cluster, headers, None, Vec::new(), timeout).is_err() {
            self.deny(503, "try again\n");
        }
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.is_known {
            self.set_http_response_header("cache-control", Some("private"));
        }
        Action::Continue
    }
}
