//! A filter that runs several futures at once, and some that outlive their streams: the path of the
//! request says which.

use proxy_filter::future::{Either, Spawner, join, join_all, select};
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
    let spawner = exchange.spawner();
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
            spawner.spawn(async { Err(Error::other("failed at once")) });
            spawner.spawn(async {
                Timer::after(Duration::from_millis(200)).await?;
                Err(Error::other("failed later"))
            });
            Ok(())
        }
        path if path.starts_with("/detached/") => {
            let path = path.to_owned();
            spawner.spawn(async move {
                if path.ends_with("later") {
                    Timer::after(Duration::from_millis(100)).await?;
                }
                let results = [
                    ("request headers", exchange.request_headers().await.map(drop)),
                    ("request chunk", exchange.request_chunk().await.map(drop)),
                    ("request body", exchange.request_body(100).await.map(drop)),
                    ("request body end", exchange.request_body_end().map(drop)),
                    ("request trailers", exchange.request_trailers().await.map(drop)),
                    ("response headers", exchange.response_headers().await.map(drop)),
                    ("response with body", exchange.response_headers_with_body(100).await.map(drop)),
                    ("response chunk", exchange.response_chunk().await.map(drop)),
                    ("response body", exchange.response_body(100).await.map(drop)),
                    ("response trailers", exchange.response_trailers().await.map(drop)),
                    ("log context", exchange.log_context().await.map(drop)),
                ];
                let accepted = results
                    .iter()
                    .filter(|(_, result)| result.as_ref().map_err(Error::kind) != Err(ErrorKind::WrongPhase));
                let accepted: Vec<_> = accepted.map(|(part, _)| *part).collect();
                log::info!("{} parts, accepted: {accepted:?}", results.len());
                exchange.reply(LocalReply::new(403))
            });
            Ok(())
        }
        "/nested" => {
            let nested = spawner.clone();
            spawner.spawn(async move {
                nested.spawn(audit("/nested".to_owned()));
                log::info!("spawned");
                Ok(())
            });
            Ok(())
        }
        "/deny" => {
            spawner.spawn(audit(path));
            exchange.reply(LocalReply::new(403))
        }
        _ => {
            record(&spawner, path);
            Ok(())
        }
    }
}

/// Records a request in a function that is no filter.
fn record(spawner: &Spawner, path: String) {
    spawner.spawn(audit(path));
}
