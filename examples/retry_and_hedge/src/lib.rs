//! Sends the client's location to the upstream, in `x-location`. Two clusters know it. The second
//! is called if the first is slow, and the first good response wins. If both fail, the calls are
//! repeated after a pause.
//!
//! ```json
//! {"path": "/locate", "first": "near", "second": "far", "hedge_ms": 100, "tries": 3, "pause_ms": 50, "limit_ms": 1000}
//! ```

#[cfg(test)]
mod tests;

use proxy_filter::configured::{ClusterName, RequestPath};
use proxy_filter::log;
use proxy_filter::prelude::*;
use proxy_filter::timer::{retry, timeout};
use proxy_filter_kit::hedge::hedge;
use serde::Deserialize;
use std::time::Duration;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The path of the calls.
    path: RequestPath,
    /// The cluster that is called first.
    first: ClusterName,
    /// The other cluster.
    second: ClusterName,
    /// The time after which the second cluster is called too, in milliseconds.
    #[serde(default = "milliseconds::<100>")]
    hedge_ms: u64,
    /// The maximum number of attempts.
    #[serde(default = "three")]
    tries: u32,
    /// The pause before the second attempt, in milliseconds. It doubles each time.
    #[serde(default = "milliseconds::<50>")]
    pause_ms: u64,
    /// The maximum time for all attempts, in milliseconds. The request is then forwarded without a
    /// location.
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

#[proxy_filter::filter]
async fn retry_and_hedge(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    request.remove("x-location")?;
    let client = request.get("x-forwarded-for")?.unwrap_or_default();
    let pause = Duration::from_millis(config.pause_ms);
    let answer = retry(config.tries, pause, async || locate(&config, &client).await);
    let answer = timeout(Duration::from_millis(config.limit_ms), answer).await.and_then(|answer| location(&answer?));
    match answer {
        Ok(location) => request.replace("x-location", location),
        Err(why) => {
            log::warn_limited!("no location: {why}");
            Ok(())
        }
    }
}

/// Returns the location in a response's text, which may end in a newline. Control characters would
/// end the header, or the host would refuse it. A long text is probably an error page, and the
/// upstream may refuse the request for its length.
fn location(answer: &[u8]) -> Result<Vec<u8>> {
    let text = answer.trim_ascii();
    let is_short = (1..=LONGEST_LOCATION).contains(&text.len());
    if is_short && text.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()) {
        Ok(text.to_vec())
    } else {
        Err(Error::other(format_args!("a response of {} bytes cannot be sent in a header", answer.len())))
    }
}

/// Returns the first good response of the two clusters. The other call is cancelled.
async fn locate(config: &Config, client: &[u8]) -> Result<Vec<u8>> {
    let late = Timer::after(Duration::from_millis(config.hedge_ms)).into_future();
    hedge(ask(&config.first, config, client), late, async || ask(&config.second, config, client).await).await
}

async fn ask(cluster: &ClusterName, config: &Config, client: &[u8]) -> Result<Vec<u8>> {
    let call =
        HttpCall::get(cluster, &config.path).header("x-client", client).timeout(Duration::from_millis(config.limit_ms));
    let answer = call.await?;
    match answer.status() {
        200 => answer.into_body(),
        status => Err(Error::other(format_args!("{cluster} responded with {status}"))),
    }
}
