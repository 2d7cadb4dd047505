//! Logs the headers of every request and response, replies to `/hello` itself, and adds a header to
//! every response.

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::prelude::*;

/// One request and its response.
#[derive(Debug, Default)]
struct Logger;

#[proxy_filter::filter]
impl Context for Logger {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for (name, value) in &request.pairs()? {
            log::info!("> {}: {}", escaped(name), escaped(value));
        }
        if request.path()?.is_some_and(|path| path == "/hello") {
            return request.reply(LocalReply::new(200).header("hello", "world").body("Hello, World!\n"));
        }
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_response_headers(
        &mut self,
        response: &mut ResponseHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        for (name, value) in &response.pairs()? {
            log::info!("< {}: {}", escaped(name), escaped(value));
        }
        // Also runs for the local reply above.
        response.add("x-proxy-filter", "http_headers")?;
        Ok(FilterHeadersStatus::Continue)
    }
}
