//! Tells the upstream in `x-location` where the client is. Two clusters know it: the second is asked when the first one is slow, the first
//! good answer wins, and when both fail they are asked again, after a pause.
//!
//! ```json
//! {"path": "/locate", "first": "near", "second": "far", "hedge_ms": 100, "tries": 3, "pause_ms": 50, "limit_ms": 1000}
//! ```

#[cfg(test)]
mod tests;

use futures_util::future::{Either, select, select_ok};
use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter::timer::{retry, timeout};
use serde::Deserialize;
use std::pin::pin;
use std::time::Duration;

/// What the operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What the clusters are asked for.
    path: RequestPath,
    /// The cluster that is asked first.
    first: ClusterName,
    /// The other one.
    second: ClusterName,
    /// The first one has so long before the second is asked as well.
    #[serde(default = "milliseconds::<100>")]
    hedge_ms: u64,
    /// So often they are asked at most.
    #[serde(default = "three")]
    tries: u32,
    /// The pause before they are asked again; twice as long each time.
    #[serde(default = "milliseconds::<50>")]
    pause_ms: u64,
    /// A request waits so long for all of it, and goes on without a location then.
    #[serde(default = "milliseconds::<1000>")]
    limit_ms: u64,
}

const fn milliseconds<const N: u64>() -> u64 {
    N
}

const fn three() -> u32 {
    3
}

const LONGEST_LOCATION: usize = 1024;

#[proxy_filter::filter(http_calls)]
async fn retry_and_hedge(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-location")?;
    let client = request.get("x-forwarded-for")?.unwrap_or_default();
    let pause = Duration::from_millis(config.pause_ms);
    let answer = retry(config.tries, pause, async || hedge(&config, &client).await);
    let answer = timeout(Duration::from_millis(config.limit_ms), answer).await.and_then(|answer| location(&answer?));
    match answer {
        Ok(location) => request.replace("x-location", location),
        Err(why) => {
            log::warn_limited!("no location: {why}");
            Ok(())
        }
    }
}

/// The location in an answer's text, which may end in a newline, as files do. With control characters it would end the header, or have the
/// host refuse it; a long one is a page about an error, and the upstream may refuse the request for it.
fn location(answer: &[u8]) -> Result<Vec<u8>> {
    let text = answer.trim_ascii();
    let is_short = (1..=LONGEST_LOCATION).contains(&text.len());
    if is_short && text.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()) {
        Ok(text.to_vec())
    } else {
        Err(Error::other(format_args!("an answer of {} bytes cannot be a header", answer.len())))
    }
}

/// The first good answer of the two clusters.
async fn hedge(config: &Config, client: &[u8]) -> Result<Vec<u8>> {
    let first = pin!(ask(&config.first, config, client));
    let late = Timer::after(Duration::from_millis(config.hedge_ms));
    match select(first, late.into_future()).await {
        Either::Left((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(_), _)) => ask(&config.second, config, client).await,
        Either::Right((elapsed, first)) => {
            elapsed?;
            let second = pin!(ask(&config.second, config, client));
            // The other answer concerns nobody.
            Ok(select_ok([first, second]).await?.0)
        }
    }
}

async fn ask(cluster: &ClusterName, config: &Config, client: &[u8]) -> Result<Vec<u8>> {
    let call =
        HttpCall::get(cluster, &config.path).header("x-client", client).timeout(Duration::from_millis(config.limit_ms));
    let answer = call.await?;
    match answer.status() {
        200 => answer.into_body(),
        status => Err(Error::other(format_args!("{cluster} answered {status}"))),
    }
}
