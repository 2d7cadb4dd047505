use proxy_filter::prelude::*;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Guard;

    fn new_context(&self) -> Guard {
        Guard
    }
}

struct Guard;

#[proxy_filter::stream_context(tcp)]
impl StreamContext for Guard {
    fn on_new_connection(&mut self) {}

    fn on_downstream_data(&mut self, data: &mut DownstreamData) -> Result<NetworkFilterStatus> {
        data.replace("")?;
        Ok(NetworkFilterStatus::Continue)
    }

    fn on_upstream_data(&mut self, data: &mut DownstreamData, _: bool) -> Result<NetworkFilterStatus> {
        data.replace("")?;
        Ok(NetworkFilterStatus::Continue)
    }

    fn on_downstream_close(&self, _: PeerType) -> Result<()> {
        Ok(())
    }

    fn on_request_headers(&mut self, _: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        Ok(FilterHeadersStatus::Continue)
    }
}

fn main() {}
