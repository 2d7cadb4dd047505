//! Functions that have 200 milliseconds, one with each failure policy. What they do is what the
//! path of the request says.

use proxy_filter::prelude::*;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_millis(200);

/// Calls the host when it is dropped.
struct Guard(HeaderValue);

impl Drop for Guard {
    fn drop(&mut self) {
        log::info!("given up: {}", self.0);
    }
}

async fn play(exchange: &mut Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default();
    let _guard = Guard(path.clone());
    match path.to_str()? {
        "/call" => {
            let answer = HttpCall::get("service", "/").await?;
            request.replace("x-answer", answer.status().to_string())
        }
        "/body" => {
            exchange.request_body(100).await?;
            Ok(())
        }
        "/response" => exchange.response_headers().await?.add("x-seen", "1"),
        "/pieces" => {
            while exchange.response_chunk().await?.is_some() {}
            Ok(())
        }
        "/end" => {
            exchange.log_context().await?;
            log::info!("the end");
            Ok(())
        }
        "/never" => std::future::pending().await,
        _ => Ok(()),
    }
}

/// Refuses streams that take too long.
#[proxy_filter::filter(root_id = "closed", deadline = DEADLINE)]
async fn bounded(mut exchange: Exchange) -> Result<()> {
    play(&mut exchange).await
}

/// Lets them pass.
#[proxy_filter::filter(root_id = "open", fail_open, deadline = Duration::from_millis(200))]
async fn lenient(mut exchange: Exchange) -> Result<()> {
    play(&mut exchange).await
}

/// Waits for another function that never returns, which counts.
#[proxy_filter::filter(root_id = "gated", deadline = DEADLINE, configure = never)]
async fn gated(mut exchange: Exchange<()>) -> Result<()> {
    exchange.request_headers().await?;
    Ok(())
}

async fn never(_config: std::rc::Rc<()>) -> Result<()> {
    std::future::pending().await
}

proxy_filter::module!(Bounded, Lenient, Gated);
