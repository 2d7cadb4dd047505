//! A filter that is one async function: what it does is what the path of the request says.

use futures_util::TryStreamExt as _;
use futures_util::future::{Either, join, join_all, ready, select};
use proxy_filter::prelude::*;
use std::cell::Cell;
use std::time::Duration;

/// What the plugin is configured with.
#[derive(Debug, serde::Deserialize)]
pub struct Config {
    #[serde(default)]
    name: String,
    #[serde(skip)]
    served: Cell<u32>,
}

/// Says when it is dropped.
struct Noted(&'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        log::info!("dropped: {}", self.0);
    }
}

fn call(path: &str) -> HttpCall {
    HttpCall::get("service", path).timeout(Duration::from_millis(400))
}

type Answer = core::result::Result<proxy_filter::callout::HttpCallResponse, CalloutError>;

fn line(answer: &Answer) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status(), escaped(&answer.body().unwrap_or_default())),
        Err(why) => why.to_string(),
    }
}

/// The filter.
#[proxy_filter::filter]
#[allow(clippy::too_many_lines, reason = "one arm a test")]
async fn exchanges(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let request = exchange.request_headers().await?;
    config.served.set(config.served.get() + 1);
    let path = request.path()?.unwrap_or_default().to_string();
    let _noted = Noted("the function");
    match path.as_str() {
        "/header" => {
            request.replace("x-name", &config.name)?;
            let served = config.served.get();
            exchange.response_headers().await?.add("x-served", served.to_string())
        }
        "/auth" => {
            let answer = call("/check").await;
            match &answer {
                Ok(answer) if answer.status() == 200 => request.replace("x-user", answer.body()?)?,
                _ => return exchange.reply(LocalReply::new(403).header("x-why", line(&answer)).body("denied\n")),
            }
            exchange.response_headers().await?.add("x-checked", "1")
        }
        path if path.starts_with("/ask/") => {
            // The path names the cluster and what is asked for.
            let (cluster, path) = path.trim_start_matches("/ask/").split_once('/').unwrap_or_default();
            let answer = HttpCall::get(cluster, format!("/{path}")).timeout(Duration::from_millis(400)).await;
            let said = match answer {
                Ok(answer) => format!("{} with {} bytes", answer.status(), answer.body_len()),
                Err(why) => format!("no answer: {why}"),
            };
            request.replace("x-answer", said)
        }
        "/two" => {
            let (a, b) = join(call("/a").into_future(), call("/b").into_future()).await;
            request.replace("x-answer", format!("{}; {}", line(&a), line(&b)))
        }
        "/many" => {
            // None of so many is given up, however busy the machine is.
            let patient = |number| call(&format!("/{number}")).timeout(Duration::from_secs(20)).into_future();
            let answers = join_all((0..200).map(patient)).await;
            let numbered = answers.iter().enumerate();
            let good = numbered.filter(|(number, answer)| {
                matches!(answer, Ok(answer) if answer.status() == 200 && answer.body().is_ok_and(|body| body == format!("/{number}").as_bytes()))
            });
            let good = good.count();
            request.replace("x-answer", good.to_string())
        }
        "/timeout" => {
            let answer =
                select(call("/slow").into_future(), Timer::after(Duration::from_millis(50)).into_future()).await;
            let said = match answer {
                Either::Left((answer, _)) => line(&answer),
                Either::Right((elapsed, _)) => elapsed.map(|()| "too slow".to_owned())?,
            };
            request.replace("x-answer", said)
        }
        "/sleep" => {
            Timer::after(Duration::from_millis(30)).await?;
            request.replace("x-answer", "slept")?;
            let response = exchange.response_headers().await?;
            Timer::after(Duration::from_millis(30)).await?;
            response.add("x-answer", "slept again")
        }
        "/body" => {
            let body = exchange.request_body(100).await?;
            let answer = HttpCall::post("service", "/body").body(body.to_bytes()?).await?;
            body.replace(answer.body()?)?;
            let response = exchange.response_headers().await?;
            response.remove("content-length")?;
            let body = exchange.response_body(1000).await?;
            body.append(b" and more")
        }
        "/chunks" => {
            let (mut pieces, mut bytes) = (0, 0);
            while let Some(chunk) = exchange.request_chunk().await? {
                pieces += 1;
                bytes += chunk.len();
                let upper = chunk.to_bytes()?.to_ascii_uppercase();
                chunk.replace(upper)?;
            }
            let trailer = match exchange.request_trailers().await? {
                Some(trailers) => trailers.get("x-end")?.unwrap_or_default().to_string(),
                None => "none".to_owned(),
            };
            let response = exchange.response_headers().await?;
            response.add("x-pieces", format!("{} {bytes} {trailer}", pieces.min(2)))?;
            while let Some(chunk) = exchange.response_chunk().await? {
                Timer::after(Duration::from_millis(5)).await?;
                if !chunk.is_empty() {
                    log::info!("held a piece");
                }
            }
            Ok(())
        }
        "/trailers" => {
            if let Some(trailers) = exchange.request_trailers().await? {
                trailers.add("x-request", "seen")?;
            }
            if let Some(trailers) = exchange.response_trailers().await? {
                call("/trailers").await?;
                trailers.replace("x-t", "changed")?;
            }
            Ok(())
        }
        "/slowly" => {
            let mut seen = Vec::new();
            while let Some(chunk) = exchange.request_chunk().await? {
                seen.extend(chunk.to_bytes()?);
                Timer::after(Duration::from_millis(75)).await?;
            }
            log::info!("seen: {}", escaped(&seen));
            Ok(())
        }
        "/end" => {
            while let Some(chunk) = exchange.request_chunk().await? {
                let early = chunk.is_empty();
                log::debug!("empty: {early}");
            }
            exchange.response_headers().await?.remove("content-length")?;
            let mut pieces = 0;
            log::info!("early: {}", exchange.response_body_end().err().map(|why| why.to_string()).unwrap_or_default());
            while let Some(chunk) = exchange.response_chunk().await? {
                pieces += 1;
                chunk.append(b",")?;
            }
            exchange.response_body_end()?.append(if pieces > 0 { "end" } else { "nothing" })
        }
        "/fail" => {
            call("/fail").await?;
            Err(Error::other("this is how it fails"))
        }
        "/finished" => {
            let log = exchange.log_context().await?;
            let status = log.response_headers().get(":status")?.unwrap_or_default();
            log::info!("finished with {status}");
            Ok(())
        }
        "/late" => {
            exchange.response_headers().await?;
            let error = exchange.request_headers().await.err();
            log::info!("late: {}", error.map(|error| error.to_string()).unwrap_or_default());
            Ok(())
        }
        path if path.starts_with("/late-") => {
            exchange.response_headers().await?;
            let refused = match path {
                "/late-body" => exchange.request_body(1000).await.err(),
                "/late-chunk" => exchange.request_chunk().await.err(),
                "/late-end" => exchange.request_body_end().err(),
                _ => exchange.request_trailers().await.err(),
            };
            log::info!("refused: {:?}", refused.map_or(ErrorKind::Other, |why| why.kind()));
            Ok(())
        }
        "/partly" => {
            exchange.request_chunk().await?;
            exchange.request_chunk().await?;
            let refused = exchange.request_body(1000).await.err();
            log::info!("refused: {:?}", refused.map_or(ErrorKind::Other, |why| why.kind()));
            Ok(())
        }
        "/again" => {
            let user = call("/user").await?;
            exchange.request_headers().await?.replace("x-user", user.body()?)?;
            exchange.response_headers().await?;
            let user = call("/user").await?;
            exchange.response_headers().await?.add("x-user", user.body()?)
        }
        "/early-body" => {
            let length = exchange.request_body(1_000_000).await?.len();
            log::info!("the whole body: {length}");
            exchange.response_headers().await?.add("x-body", "scanned")
        }
        "/early-chunks" => {
            while exchange.request_chunk().await?.is_some() {}
            log::info!("the end");
            exchange.response_headers().await?.add("x-body", "scanned")
        }
        "/early-stream" => {
            exchange.request_chunks().try_for_each(|_| ready(Ok(()))).await?;
            log::info!("the end");
            exchange.response_headers().await?.add("x-body", "scanned")
        }
        "/early-trailers" => {
            log::info!("trailers: {}", exchange.request_trailers().await?.is_some());
            exchange.response_headers().await?.add("x-body", "scanned")
        }
        "/early-forward" | "/early-match" => {
            let mut bytes = 0;
            loop {
                match exchange.request_chunk().await {
                    Ok(Some(chunk)) => bytes += chunk.len(),
                    Ok(None) => break log::info!("the end"),
                    Err(why) if why.kind() == ErrorKind::EarlyResponse => break,
                    Err(why) => return Err(why),
                }
            }
            if path == "/early-forward" {
                exchange.forward_request();
            }
            exchange.response_headers().await?.add("x-seen", bytes.to_string())
        }
        "/upgrade" => {
            let (request, body) = exchange.request_headers_with_body(100).await?;
            let protocol = request.get("upgrade")?.unwrap_or_default();
            log::info!("{} bytes before {}", body.len(), escaped(protocol.as_bytes()));
            exchange.response_headers().await?;
            while let Some(chunk) = exchange.response_chunk().await? {
                log::info!("received: {}", escaped(&chunk.to_bytes()?));
            }
            Ok(())
        }
        "/wait" => {
            let _inner = Noted("the wait");
            let _ = join(call("/never").into_future(), Timer::after(Duration::from_secs(60)).into_future()).await;
            log::info!("nobody is here any more");
            Ok(())
        }
        "/response" => {
            let response = exchange.response_headers().await?;
            let answer = call("/response").await;
            response.add("x-answer", line(&answer))
        }
        "/resumed/request" => {
            call("/slow").await?;
            let body = exchange.request_body(1000).await?;
            let upper = body.to_bytes()?.to_ascii_uppercase();
            body.replace(upper)
        }
        "/resumed/response" => {
            exchange.response_headers().await?;
            call("/slow").await?;
            let body = exchange.response_body(1000).await?;
            let upper = body.to_bytes()?.to_ascii_uppercase();
            body.replace(upper)
        }
        "/replaced" => {
            exchange.response_headers().await?;
            exchange.reply(LocalReply::new(418).body("short and stout\n"))
        }
        _ => Ok(()),
    }
}
