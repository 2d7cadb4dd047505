//! Redirects requests to another host, scheme or path, and rewrites paths for the upstream.
//!
//! ```json
//! {"host": "www.example", "https": true, "rules": [{"from": "/old/*", "to": "/new/*", "status": 301}]}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{Authority, RequestPath};
use proxy_filter::prelude::*;
use proxy_filter_kit::request::{Normalisation, path};
use serde::Deserialize;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    host: Option<Authority>,
    https: bool,
    rules: Vec<Rule>,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The only host.
    host: Option<Authority>,
    /// Whether requests without TLS are redirected.
    #[serde(default)]
    https: bool,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// A rule for a path, or with `*` at the end for all paths that begin so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    from: RequestPath,
    /// The new path. `*` at the end stands for the rest.
    to: RequestPath,
    /// The status of the redirect. Without it, the path is rewritten.
    status: Option<u16>,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(Written { host, https, rules }: Written) -> Result<Self, String> {
        if https && host.is_none() {
            return Err("https: a redirect needs `host`, because clients choose the host of a request".to_owned());
        }
        for (index, Rule { from, to, status }) in rules.iter().enumerate() {
            let fault = |field: &str, why: &str| Err(format!("rules[{index}].{field}: {why}"));
            if to.ends_with('*') && !from.ends_with('*') {
                return fault("to", "`*` stands for the rest of `from`, which has no `*`");
            }
            // Browsers read `//` as the beginning of a host.
            if to.starts_with("//") || to.contains('\\') {
                return fault("to", "the path begins with one slash, and has no backslash");
            }
            if status.is_some_and(|status| !matches!(status, 301 | 302 | 303 | 307 | 308)) {
                return fault("status", "a redirect has the status 301, 302, 303, 307 or 308");
            }
        }
        Ok(Self { host, https, rules })
    }
}

impl Rule {
    /// Returns the new path, if the rule matches.
    fn apply(&self, path: &str) -> Option<String> {
        let Some(prefix) = self.from.strip_suffix('*') else {
            return (path == &*self.from).then(|| self.to.to_string());
        };
        let rest = path.strip_prefix(prefix)?;
        let Some(start) = self.to.strip_suffix('*') else { return Some(self.to.to_string()) };
        // `/a*` with `/*` would make `//b` of `/a/b`.
        let rest = if start.ends_with('/') { rest.trim_start_matches('/') } else { rest };
        Some(format!("{start}{rest}"))
    }
}

/// One request.
struct Redirect {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Redirect {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Redirect {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let target = request.path()?.unwrap_or_default();
        // `CONNECT` has no path, and that of `OPTIONS *` is no path.
        if !target.starts_with(b"/") {
            return Ok(FilterHeadersStatus::Continue);
        }
        let Config { host, https, rules } = &*self.config;
        let own = path(&target);
        let query = target.get(own.len()..).unwrap_or_default();
        // Merged slashes also keep the rest of a path from beginning another host.
        let Ok(normal) = Normalisation::new().merge_slashes().normalise(own) else {
            return request.reply(LocalReply::new(400).details("redirects_path").body("the path is malformed\n"));
        };
        if let Some(host) = host {
            let authority = request.authority()?.unwrap_or_default();
            let is_secure = request.get("x-forwarded-proto")?.is_some_and(|scheme| scheme == "https");
            if !authority.eq_ignore_ascii_case(host.as_bytes()) || *https && !is_secure {
                let scheme = if *https || is_secure { "https" } else { "http" };
                return request.reply(redirect(308, &format!("{scheme}://{host}{normal}"), query));
            }
        }
        let matching = rules.iter().find_map(|rule| Some((rule.apply(&normal)?, rule.status)));
        match matching {
            None => {}
            Some((to, Some(status))) => return request.reply(redirect(status, &to, query)),
            // In Envoy, a changed header also makes Envoy choose the route again.
            Some((to, None)) => request.replace(":path", [to.as_bytes(), query].concat())?,
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

fn redirect(status: u16, to: &str, query: &[u8]) -> LocalReply {
    LocalReply::new(status).header("location", [to.as_bytes(), query].concat()).details("redirects")
}
