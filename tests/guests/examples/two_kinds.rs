//! A filter of requests and a filter of connections in one module.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Stamp;

#[proxy_filter::root(root_id = "stamp")]
impl RootContext for Stamp {
    type Context = Stamped;

    fn new_context(&self) -> Stamped {
        Stamped
    }
}

struct Stamped;

#[proxy_filter::context]
impl Context for Stamped {
    fn on_response_headers(&mut self, response: &mut ResponseHeaders, _: bool) -> Result<FilterHeadersStatus> {
        response.add("x-stamp", "1")?;
        Ok(FilterHeadersStatus::Continue)
    }

    fn on_log(&mut self, _log: &LogContext) -> Result<()> {
        log::info!("a request is over");
        Ok(())
    }
}

#[derive(Default)]
struct Shout;

#[proxy_filter::root(root_id = "shout")]
impl RootContext for Shout {
    type Context = Shouted;

    fn new_context(&self) -> Shouted {
        Shouted
    }
}

struct Shouted;

#[proxy_filter::stream_context]
impl StreamContext for Shouted {
    fn on_upstream_data(&mut self, data: &mut UpstreamData, _: bool) -> Result<NetworkFilterStatus> {
        let shouted = data.to_bytes()?.to_ascii_uppercase();
        data.replace(shouted)?;
        Ok(NetworkFilterStatus::Continue)
    }

    fn on_log(&mut self) -> Result<()> {
        log::info!("a connection is over");
        Ok(())
    }
}

proxy_filter::module!(Stamp, Shout);
