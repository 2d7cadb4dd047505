//! Filters of upgraded connections: what each looks at is in the path.

use proxy_filter::log;
use proxy_filter::prelude::*;

/// Forwards both directions, or refuses, or scans what the upstream sends.
#[proxy_filter::filter]
async fn upgrades(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    // `CONNECT` has no path.
    let path = request.get("x-path")?.or(request.path()?).unwrap_or_default().to_string();
    match path.as_str() {
        "/refused" => exchange.reply(LocalReply::new(403).body("no upgrade\n")),
        "/refused-by-service" => {
            let response = HttpCall::get("authz", "/").await?;
            if response.status() == 200 { Ok(()) } else { exchange.reply(LocalReply::new(403).body("no upgrade\n")) }
        }
        "/with-body" => {
            let (request, body) = exchange.request_headers_with_body(1000).await?;
            request.replace("x-body", body.len().to_string())?;
            exchange.response_headers().await?.add("x-seen", "1")
        }
        "/response-chunks" => {
            exchange.response_headers().await?.add("x-seen", "1")?;
            while let Some(chunk) = exchange.response_chunk().await? {
                if chunk.to_bytes()?.windows(6).any(|bytes| bytes == b"secret") {
                    return exchange.close_stream();
                }
            }
            log::info!("the upgraded connection has ended");
            Ok(())
        }
        "/response-body" => {
            let body = exchange.response_body(1000).await?.to_bytes()?;
            log::info!("a whole body of {} bytes", body.len());
            Ok(())
        }
        "/response-with-body" => {
            let (response, body) = exchange.response_headers_with_body(1000).await?;
            log::info!("a response with a body of {} bytes", body.len());
            response.add("x-seen", "1")
        }
        "/tunnel-match" => {
            let error = exchange.response_body(1000).await.err();
            log::info!("{:?}", error.map_or(ErrorKind::Other, |error| error.kind()));
            Ok(())
        }
        "/request-chunks" => {
            while let Some(chunk) = exchange.request_chunk().await? {
                log::info!("a chunk of {} bytes", chunk.len());
            }
            log::info!("the request has ended");
            exchange.response_headers().await?.add("x-seen", "1")
        }
        "/request-body" => {
            let length = exchange.request_body(1000).await?.len();
            log::info!("a request body of {length} bytes");
            exchange.response_headers().await?.add("x-seen", "1")
        }
        "/request-trailers" => {
            let has_trailers = exchange.request_trailers().await?.is_some();
            log::info!("request trailers: {has_trailers}");
            exchange.response_headers().await?.add("x-seen", "1")
        }
        "/response-trailers" => {
            let has_trailers = exchange.response_trailers().await?.is_some();
            log::info!("response trailers: {has_trailers}");
            Ok(())
        }
        "/response-headers" => exchange.response_headers().await?.add("x-seen", "1"),
        _ => Ok(()),
    }
}
