//! A plugin that has to fetch something before its streams may pass.

use proxy_filter::prelude::*;
use proxy_filter::timer::retry;
use std::rc::Rc;
use std::time::Duration;

/// What the plugin is configured with.
#[derive(serde::Deserialize)]
struct Config {
    /// What the service is asked.
    path: String,
    tries: u32,
}

async fn fetch(config: Rc<Config>) -> Result<()> {
    retry(config.tries, Duration::from_millis(20), async || {
        let answer = HttpCall::get("service", &config.path).timeout(Duration::from_secs(60)).await?;
        match answer.status() {
            200 => Ok(()),
            status => Err(Error::other(format_args!("the service answered {status}"))),
        }
    })
    .await
}

/// Refuses streams while the plugin is not ready.
#[proxy_filter::filter(root_id = "closed", configure = fetch)]
async fn closed(mut exchange: Exchange<Config>) -> Result<()> {
    exchange.request_headers().await?.replace("x-ready", "1")
}

/// Lets them pass.
#[proxy_filter::filter(root_id = "open", configure = fetch, fail_open)]
async fn open(mut exchange: Exchange<Config>) -> Result<()> {
    exchange.request_headers().await?.replace("x-ready", "1")
}

proxy_filter::module!(Closed, Open);
