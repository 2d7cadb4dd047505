//! A filter that runs several futures at once, and some that outlive their streams: the path of the
//! request says which.

use proxy_filter::future::{Either, join, join_all, select, spawn};
use proxy_filter::prelude::*;
use std::time::Duration;

/// Logs when it is dropped.
struct Noted(&'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        log::info!("dropped: {}", self.0);
    }
}

fn call(path: &str) -> HttpCall {
    HttpCall::get("service", path).timeout(Duration::from_secs(20))
}

/// Records a request, and logs the result.
async fn audit(path: String) -> Result<()> {
    let _noted = Noted("the audit");
    let response = HttpCall::post("audit", "/records").body(&*path).timeout(Duration::from_secs(20)).await?;
    log::info!("audited {path} with {}", response.status());
    Ok(())
}

/// The filter. It has no configuration.
#[proxy_filter::filter]
async fn futures(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    let path = request.path()?.unwrap_or_default().to_string();
    match path.as_str() {
        "/join" => {
            let (a, b) = join(call("/a"), call("/b")).await;
            request.replace("x-answer", [a?.into_body()?, b?.into_body()?].concat())
        }
        "/join_all" => {
            let responses = join_all(["/a", "/b", "/c"].map(call)).await;
            let bodies = responses.into_iter().map(|response| response?.into_body());
            request.replace("x-answer", bodies.collect::<Result<Vec<_>>>()?.concat())
        }
        "/select" => {
            let first = select(call("/slow"), Timer::after(Duration::from_millis(50))).await;
            request.replace("x-answer", if matches!(first, Either::Second(Ok(()))) { "timer" } else { "call" })
        }
        "/join/parts" => {
            // What is awaited of the exchange registers no waker.
            let (headers, slept) = join(exchange.response_headers(), Timer::after(Duration::from_millis(30))).await;
            slept?;
            headers?.add("x-answer", "both")
        }
        "/fail" => {
            spawn(async { Err(Error::other("failed at once")) })?;
            spawn(async {
                Timer::after(Duration::from_millis(200)).await?;
                Err(Error::other("failed later"))
            })
        }
        "/nested" => spawn(async {
            spawn(audit("/nested".to_owned()))?;
            log::info!("spawned");
            Ok(())
        }),
        "/deny" => {
            spawn(audit(path))?;
            exchange.reply(LocalReply::new(403))
        }
        _ => spawn(audit(path)),
    }
}
