//! The smallest filter with both contexts. The root context logs a line when the plugin starts, and
//! a stream context for each request.

#[cfg(test)]
mod tests;

use proxy_filter::log;
use proxy_filter::prelude::*;

/// The plugin.
#[derive(Debug, Default)]
pub struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_start(&mut self, configuration: VmConfiguration) -> Result<()> {
        log::info!("hello, world: {} bytes of VM configuration", configuration.len());
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        log::info!("hello, {}", request.path()?.unwrap_or_default());
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_log(&mut self, log: &LogContext) -> Result<()> {
        log::info!("goodbye: {}", log.response_headers().get(":status")?.unwrap_or_default());
        Ok(())
    }
}
