//! Allows and denies clients by their addresses. The most specific network decides.
//!
//! ```json
//! {"otherwise": "deny", "allow": ["10.0.0.0/8"], "deny": ["10.66.0.0/16"], "trusted_hops": 1}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::prelude::*;
use proxy_filter::{log, stream_info};
use proxy_filter_kit::client_address::{NetworkMap, TrustedProxies};
use serde::Deserialize;
use std::net::IpAddr;
use std::rc::Rc;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    rules: NetworkMap<Rule>,
    otherwise: Rule,
    proxies: TrustedProxies,
}

/// The decision about an address.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Rule {
    Allow,
    Deny,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The decision about addresses in none of the networks.
    otherwise: Rule,
    /// Networks whose clients are allowed.
    #[serde(default)]
    allow: Vec<String>,
    /// Networks whose clients are denied.
    #[serde(default)]
    deny: Vec<String>,
    /// The number of trusted proxies before Envoy.
    #[serde(default)]
    trusted_hops: usize,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut rules = NetworkMap::new();
        for (field, networks, rule) in [("allow", written.allow, Rule::Allow), ("deny", written.deny, Rule::Deny)] {
            for (index, text) in networks.iter().enumerate() {
                let network = text.parse().map_err(|why| format!("{field}[{index}]: {text}: {why}"))?;
                if rules.insert(network, rule).is_some_and(|before| before != rule) {
                    return Err(format!("{field}[{index}]: {text} is also in `allow`"));
                }
            }
        }
        let proxies = TrustedProxies::hops(written.trusted_hops);
        Ok(Self { rules, otherwise: written.otherwise, proxies })
    }
}

/// One request.
struct Access {
    config: Rc<Config>,
}

impl From<&Rc<Config>> for Access {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config) }
    }
}

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Access {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let client = self.config.client(request)?;
        let rule = client.map_or(Rule::Deny, |client| *self.config.rules.get(client).unwrap_or(&self.config.otherwise));
        if rule == Rule::Allow {
            return Ok(FilterHeadersStatus::Continue);
        }
        log::info!("denied: {}", client.map_or("no address".to_owned(), |client| client.to_string()));
        request.reply(LocalReply::new(403).details("ip_access").body("access denied\n"))
    }
}

impl Config {
    fn client(&self, request: &RequestHeaders) -> Result<Option<IpAddr>> {
        let peer = stream_info::source().address()?.and_then(|address| address.ip());
        let values = request.get_all("x-forwarded-for")?;
        let values: Vec<&[u8]> = values.iter().collect();
        Ok(peer.map(|peer| self.proxies.client(peer, &values)))
    }
}
