//! Converts equivalent requests to one form, so that a cache behind this filter stores one response
//! for all of them.
//!
//! ```json
//! {"ignore": ["utm_*", "gclid"], "codings": ["br", "gzip"]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::HeaderText;
use proxy_filter::prelude::*;
use proxy_filter_kit::request::{EscapedSlashes, Normalisation, QueryEdit, negotiate_encoding, path};
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Query parameters that do not change a response. `*` at the end stands for any rest.
    ignore: Vec<String>,
    /// The content codings of the upstream, the preferred one first.
    #[serde(default = "gzip")]
    codings: Vec<HeaderText>,
}

fn gzip() -> Vec<HeaderText> {
    HeaderText::new("gzip").into_iter().collect()
}

/// One request.
struct Normalise {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Normalise {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Normalise {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let method = request.method()?.unwrap_or_default();
        let target = request.path()?.unwrap_or_default();
        if method != "GET" && method != "HEAD" || !target.starts_with(b"/") {
            return Ok(FilterHeadersStatus::Continue);
        }
        let normal = self.config.normal(&target);
        if *normal != *target {
            request.replace(":path", normal)?;
        }
        let accepted = request.get("accept-encoding")?.unwrap_or_default();
        let codings: Vec<&str> = self.config.codings.iter().map(HeaderText::as_str).collect();
        let coding = negotiate_encoding(&accepted, &codings).and_then(|index| codings.get(index));
        request.replace("accept-encoding", coding.unwrap_or(&"identity"))?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn failure_policy(&self) -> FailurePolicy {
        // A request in its own form is valid too.
        FailurePolicy::Open
    }
}

impl Config {
    /// Returns the normal form of a request target.
    fn normal(&self, target: &[u8]) -> Vec<u8> {
        let own = path(target);
        let normal = Normalisation::new().escaped_slashes(EscapedSlashes::Keep).normalise(own);
        // A path without a normal form is only like itself.
        let path = normal.map_or_else(|_| own.to_vec(), String::into_bytes);
        let target = [&path, target.get(own.len()..).unwrap_or_default()].concat();
        QueryEdit::new(&target).retain(|name, _| !self.ignores(name)).sort().finish()
    }

    fn ignores(&self, name: &[u8]) -> bool {
        self.ignore.iter().any(|ignored| match ignored.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == ignored.as_bytes(),
        })
    }
}
