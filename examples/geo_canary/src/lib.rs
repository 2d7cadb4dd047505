//! Sends a part of the clients to a canary: those of some networks, and a percentage of the others.
//! A cookie keeps each client where it is.
//!
//! ```json
//! {"networks": ["10.0.0.0/8", "2001:db8::/32"], "percent": 5, "trusted_hops": 1}
//! ```
//!
//! The filter sets the header `x-canary` to `1` or `0`, and Envoy chooses the route again.

#[cfg(test)]
mod tests;

use proxy_filter::foreign::clear_route_cache;
use proxy_filter::prelude::*;
use proxy_filter::{random, stream_info};
use proxy_filter_kit::client_address::{NetworkSet, TrustedProxies};
use proxy_filter_kit::request::{SetCookie, cookie};
use serde::Deserialize;
use std::rc::Rc;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
struct Config {
    networks: NetworkSet,
    percent: u64,
    proxies: TrustedProxies,
}

/// The configuration as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Clients in these networks get the canary.
    #[serde(default)]
    networks: Vec<String>,
    /// The percentage of other clients that get the canary.
    percent: u8,
    /// The number of trusted proxies before Envoy.
    #[serde(default)]
    trusted_hops: usize,
}

impl TryFrom<Written> for Config {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.percent > 100 {
            return Err(format!("percent: {} is more than 100", written.percent));
        }
        let networks =
            written.networks.iter().map(|text| text.parse().map_err(|why| format!("networks: {text}: {why}")));
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            percent: written.percent.into(),
            proxies: TrustedProxies::hops(written.trusted_hops),
        })
    }
}

/// One request and its response.
struct Canary {
    config: Rc<Config>,
    /// The value of the cookie for a client without one.
    assigned: Option<&'static str>,
}

impl From<&Rc<Config>> for Canary {
    fn from(config: &Rc<Config>) -> Self {
        Self { config: Rc::clone(config), assigned: None }
    }
}

/// A client may choose its version with the cookie: it is not a secret.
const COOKIE: &str = "__Host-canary";

#[proxy_filter::filter(config = Rc<Config>)]
impl Context for Canary {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let cookies = request.get("cookie")?.unwrap_or_default();
        let value = match cookie(&cookies, COOKIE) {
            Some(b"1") => "1",
            Some(b"0") => "0",
            _ => {
                let value = if self.config.is_canary(request)? { "1" } else { "0" };
                self.assigned = Some(value);
                value
            }
        };
        request.replace("x-canary", value)?;
        clear_route_cache()?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        if let Some(value) = self.assigned {
            let day = Duration::from_secs(24 * 3600);
            let cookie = SetCookie::new(COOKIE, value).max_age(day).build().map_err(Error::other)?;
            response.add("set-cookie", cookie)?;
        }
        Ok(FilterHeadersStatus::Continue)
    }
}

impl Config {
    fn is_canary(&self, request: &RequestHeaders) -> Result<bool> {
        let peer = stream_info::source().address()?.and_then(|address| address.ip());
        let values = request.get_all("x-forwarded-for")?;
        let values: Vec<&[u8]> = values.iter().collect();
        let client = peer.map(|peer| self.proxies.client(peer, &values));
        Ok(client.is_some_and(|client| self.networks.contains(client)) || random::u64()? % 100 < self.percent)
    }
}
