//! Decides about headers when it has seen the body. What it does is what the path of the request
//! says.

use proxy_filter::prelude::*;
use std::time::Duration;

/// The filter.
#[proxy_filter::filter]
async fn held_headers(mut exchange: Exchange) -> Result<()> {
    let path = exchange.request_headers().await?.path()?.unwrap_or_default();
    match path.to_str()? {
        "/length" => {
            let (request, body) = exchange.request_headers_with_body(100).await?;
            request.replace("x-length", body.len().to_string())?;
            request.replace("x-body", body.to_bytes()?)
        }
        "/longer" => {
            let (request, mut body) = exchange.request_headers_with_body(100).await?;
            body.append(" and more")?;
            request.replace("x-length", body.len().to_string())
        }
        "/upper" => {
            let (request, mut body) = exchange.request_headers_with_body(100).await?;
            let upper = body.to_bytes()?.to_ascii_uppercase();
            body.replace(upper)?;
            request.replace("x-same", "1")
        }
        "/call" => {
            let (request, body) = exchange.request_headers_with_body(100).await?;
            let answer = HttpCall::post("service", "/").body(body.to_bytes()?).await?;
            request.replace("x-answer", answer.body()?)
        }
        "/judge" => {
            let (_, body) = exchange.request_headers_with_body(100).await?;
            if body.to_bytes()?.starts_with(b"bad") {
                return exchange.reply(LocalReply::new(422).body("not this\n"));
            }
            let trailers = exchange.request_trailers().await?.is_some();
            exchange.response_headers().await?.add("x-trailers", trailers.to_string())
        }
        "/response" => {
            let (response, mut body) = exchange.response_headers_with_body(100).await?;
            response.add("x-length", body.len().to_string())?;
            if body.is_empty() { Ok(()) } else { body.prepend("> ") }
        }
        "/response-call" => {
            let (response, body) = exchange.response_headers_with_body(100).await?;
            let answer = HttpCall::post("service", "/").body(body.to_bytes()?).await?;
            response.add("x-answer", answer.body()?)
        }
        "/replaced" => {
            let (_, body) = exchange.response_headers_with_body(100).await?;
            if body.to_bytes()?.starts_with(b"secret") {
                return exchange.reply(LocalReply::new(502).body("leaked\n"));
            }
            Ok(())
        }
        "/late" => {
            Timer::after(Duration::from_millis(20)).await?;
            let why = exchange.request_headers_with_body(100).await.err();
            log::info!("late: {}", why.map(|why| why.to_string()).unwrap_or_default());
            Ok(())
        }
        "/lenient" => {
            if let Err(why) = exchange.request_headers_with_body(100).await {
                log::info!("without the body: {why}");
                return exchange.request_headers().await?.replace("x-length", "unknown");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
