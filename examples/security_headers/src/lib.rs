//! Adds security headers to responses, and removes headers that reveal software.
//!
//! ```json
//! {"policy": {"default-src": ["'self'"]}, "deny_features": ["camera"], "set": {"x-frame-options": "SAMEORIGIN"}}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{HeaderName, HeaderText};
use proxy_filter::prelude::*;
use proxy_filter_kit::security_headers::{ContentSecurityPolicy, REVEALING, SecurityHeaders};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    headers: Vec<(String, String)>,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The directives of `content-security-policy`, with their sources.
    #[serde(default)]
    policy: BTreeMap<String, Vec<HeaderText>>,
    /// Whether browsers only report violations of the policy.
    #[serde(default)]
    report_only: bool,
    /// Features of browsers that the site does not use.
    #[serde(default)]
    deny_features: Vec<HeaderText>,
    /// Other headers, or other values.
    #[serde(default)]
    set: BTreeMap<String, HeaderText>,
    /// Headers that are not added.
    #[serde(default)]
    without: Vec<HeaderName>,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let fault = |field: &'static str| move |why| format!("{field}: {why}");
        let mut headers = SecurityHeaders::recommended();
        if !written.policy.is_empty() {
            let policy = written.policy.iter().fold(ContentSecurityPolicy::new(), |policy, (name, sources)| {
                policy.directive(name, sources.iter().map(HeaderText::as_str))
            });
            headers = if written.report_only { headers.report_only(&policy) } else { headers.policy(&policy) };
        }
        headers.clone().build().map_err(fault("policy"))?;
        if !written.deny_features.is_empty() {
            headers = headers.deny_features(written.deny_features.iter().map(HeaderText::as_str));
        }
        headers.clone().build().map_err(fault("deny_features"))?;
        let headers = written.set.iter().fold(headers, |headers, (name, value)| headers.set(name, &**value));
        let headers = written.without.iter().fold(headers, |headers, name| headers.without(name));
        Ok(Self { headers: headers.build().map_err(fault("set"))? })
    }
}

/// One response.
struct Secure {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Secure {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Secure {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        for name in REVEALING {
            response.remove(name)?;
        }
        for (name, value) in &self.config.headers {
            response.replace(name, value)?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}
