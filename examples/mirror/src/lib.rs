//! Sends copies of requests to another cluster. The client gets the response of the upstream, and
//! never waits for the copy.
//!
//! ```json
//! {"cluster": "shadow", "percent": 10}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{ClusterName, HeaderName};
use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter::random;
use serde::Deserialize;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The configuration, and the state of a worker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The cluster of the copies.
    cluster: ClusterName,
    /// The percentage of requests that are copied, 0 to 100.
    percent: Percent,
    /// Headers that copies do not have.
    #[serde(default = "credentials")]
    remove: Vec<HeaderName>,
    /// The maximum number of bytes of a copied body. Requests with a larger one are not copied.
    #[serde(default = "max_body")]
    max_body: usize,
    /// The maximum number of copies that are in flight in a worker.
    #[serde(default = "max_pending")]
    max_pending: usize,
    /// The number of copies that are in flight.
    #[serde(skip)]
    pending: Rc<Cell<usize>>,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "u64")]
struct Percent(u64);

impl TryFrom<u64> for Percent {
    type Error = String;

    fn try_from(percent: u64) -> Result<Self, String> {
        if percent > 100 { Err(format!("{percent} is more than 100")) } else { Ok(Self(percent)) }
    }
}

fn credentials() -> Vec<HeaderName> {
    ["authorization", "cookie"].into_iter().filter_map(|name| HeaderName::new(name).ok()).collect()
}

const fn max_body() -> usize {
    64 * 1024
}

const fn max_pending() -> usize {
    100
}

/// The header of copies. A request that has it is not copied again.
const COPY: &str = "x-mirrored";

#[proxy_filter::filter(fail_open)]
async fn mirror(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    let method = request.method()?.unwrap_or_default();
    let is_tunnel = method == "CONNECT" || request.get("upgrade")?.is_some();
    if is_tunnel || request.get(COPY)?.is_some() || random::u64()? % 100 >= config.percent.0 {
        return Ok(());
    }
    let pairs = request.pairs()?;
    let is_copied = |name: &[u8]| !config.remove.iter().any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()));
    let copied = pairs.iter().filter(|(name, _)| is_copied(name));
    let call = HttpCall::new(&config.cluster, method, request.path()?.unwrap_or_default())
        .authority(request.authority()?.unwrap_or_default())
        .headers_from(copied)
        .header(COPY, "1")
        .timeout(Duration::from_secs(5));
    let mut body = Vec::new();
    // Each chunk is forwarded when the next one is awaited.
    while let Some(chunk) = exchange.request_chunk().await? {
        if body.len().saturating_add(chunk.len()) > config.max_body {
            log::debug!("not copied: the body is too large");
            return Ok(());
        }
        body.extend(chunk.to_bytes()?);
    }
    let Some(pending) = Pending::new(&config) else {
        log::debug!("not copied: too many copies are in flight");
        return Ok(());
    };
    exchange.spawner().spawn(async move {
        let result = call.body(body).await;
        drop(pending);
        if let Err(why) = result {
            log::debug!("the copy failed: {why}");
        }
        Ok(())
    });
    Ok(())
}

/// A copy in flight.
struct Pending(Rc<Cell<usize>>);

impl Pending {
    fn new(config: &Config) -> Option<Self> {
        let count = config.pending.get().saturating_add(1);
        (count <= config.max_pending).then(|| {
            config.pending.set(count);
            Self(Rc::clone(&config.pending))
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
