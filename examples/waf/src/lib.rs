//! A web application firewall: refuses requests and responses that contain a configured pattern, in
//! several encodings.
//!
//! ```json
//! {
//!   "request": {"sql-injection": "union select", "traversal": "../", "xss": "<script"},
//!   "response": {"private-key": "-----BEGIN PRIVATE KEY"},
//!   "largest_request_body": 1048576
//! }
//! ```
//!
//! Bodies are scanned chunk by chunk. A chunk is forwarded once it has been scanned, and no pattern
//! is forwarded whole. Messages that cannot be scanned are refused.

mod config;
mod decode;
mod fields;
mod scan;
#[cfg(test)]
mod tests;

use config::Config;
use proxy_filter::prelude::*;
use scan::Scanner;

#[proxy_filter::filter]
async fn waf(mut exchange: Exchange<Config>) -> Result<()> {
    let config = exchange.config();
    let mut head = false;
    match inspect_request(&mut exchange, &config, &mut head).await {
        // The upstream, Envoy or another filter has responded before the request ended. The rest of
        // the request is dropped, because this function awaited it. The response is inspected.
        Err(error) if error.kind() == ErrorKind::EarlyResponse => {}
        result => result?,
    }
    inspect_response(&mut exchange, &config, head).await
}

async fn inspect_request(exchange: &mut Exchange<Config>, config: &Config, head: &mut bool) -> Result<()> {
    let rules = &config.request;
    let request = exchange.request_headers().await?;
    let method = request.method()?.unwrap_or_default();
    *head = method == "HEAD";
    // The bytes that follow are not a body, and cannot be scanned.
    if method == "CONNECT" || request.get("upgrade")?.is_some() {
        return Err(refusal(403, "upgrade").into());
    }
    if !request.content_codings()?.is_empty() || !config::is_readable(request.media_type()?.as_ref()) {
        return Err(refusal(415, "unreadable").header("accept-encoding", "identity").into());
    }
    refuse_if_found(403, fields::find(rules, &request.pairs()?))?;
    refuse_if_found(403, rules.find(&scan::resolved(&request.path()?.unwrap_or_default())))?;
    // Requests a whole response without compression, so that it can be scanned.
    request.replace("accept-encoding", "identity")?;
    for name in ["range", "if-range", "a-im"] {
        request.remove(name)?;
    }
    let mut scanner = Scanner::new(rules);
    let mut length = 0_usize;
    while let Some(chunk) = exchange.request_chunk().await? {
        length = length.saturating_add(chunk.len());
        if length > config.largest_request_body {
            return Err(refusal(413, "too_large").into());
        }
        refuse_if_found(403, scanner.push(&chunk.to_bytes()?))?;
    }
    refuse_if_found(403, scanner.finish())?;
    match exchange.request_trailers().await? {
        Some(trailers) => refuse_if_found(403, fields::find(rules, &trailers.pairs()?)),
        None => Ok(()),
    }
}

/// Inspects the response. Once its headers have been sent, a refusal resets the stream.
async fn inspect_response(exchange: &mut Exchange<Config>, config: &Config, head: bool) -> Result<()> {
    let rules = &config.response;
    let response = exchange.response_headers().await?;
    let status = response.status()?.unwrap_or_default();
    let has_body = !head && !matches!(status, 204 | 304);
    if has_body && is_unreadable(response, status)? {
        return Err(refusal(502, "unreadable").into());
    }
    refuse_if_found(502, fields::find(rules, &response.pairs()?))?;
    let mut scanner = Scanner::new(rules);
    while let Some(chunk) = exchange.response_chunk().await? {
        refuse_if_found(502, scanner.push(&chunk.to_bytes()?))?;
    }
    refuse_if_found(502, scanner.finish())?;
    match exchange.response_trailers().await? {
        Some(trailers) => refuse_if_found(502, fields::find(rules, &trailers.pairs()?)),
        None => Ok(()),
    }
}

/// Whether a response is encoded, partial, or no longer HTTP.
fn is_unreadable(response: &ResponseHeaders, status: u16) -> Result<bool> {
    let media = response.media_type()?;
    let ranges = media.as_ref().is_some_and(|media| media.essence() == "multipart/byteranges");
    let whole = !matches!(status, 101 | 206 | 226) && !ranges;
    Ok(!whole || !config::is_readable(media.as_ref()) || !response.content_codings()?.is_empty())
}

fn refuse_if_found(status: u16, rule: Option<&str>) -> Result<()> {
    match rule {
        Some(rule) => Err(refusal(status, rule).into()),
        None => Ok(()),
    }
}

/// The client gets no name of a rule: the names are for the access log.
fn refusal(status: u16, rule: &str) -> LocalReply {
    LocalReply::new(status).details(format!("waf_{rule}")).body("refused\n")
}
