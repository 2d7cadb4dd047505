//! One module for requests and for connections, every callback of the latter.
#![deny(warnings)]

use proxy_filter::prelude::*;

mod requests {
    use proxy_filter::prelude::*;

    #[derive(Default)]
    pub struct Root;

    #[proxy_filter::root(root_id = "requests")]
    impl RootContext for Root {
        type Context = Stream;

        fn new_context(&self) -> Stream {
            Stream
        }
    }

    pub struct Stream;

    #[proxy_filter::context]
    impl Context for Stream {
        fn on_request_body(&mut self, _: &mut RequestBody, _: bool) -> Result<FilterDataStatus> {
            Ok(FilterDataStatus::Continue)
        }
    }
}

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "connections")]
impl RootContext for Root {
    type Context = Connection;

    fn new_context(&self) -> Connection {
        Connection
    }
}

struct Connection;

#[proxy_filter::stream_context]
impl StreamContext for Connection {
    fn on_create(&mut self) -> Result<()> {
        Ok(())
    }

    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        Ok(NetworkFilterStatus::Pause)
    }

    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let data: &mut StreamData = data;
        data.drain(if end_of_stream { data.len() } else { 0 })?;
        Ok(NetworkFilterStatus::Continue)
    }

    fn on_upstream_data(&mut self, _: &mut UpstreamData, _: bool) -> Result<NetworkFilterStatus> {
        Ok(NetworkFilterStatus::Close)
    }

    fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
        assert_ne!(peer, PeerType::Unknown);
        Ok(())
    }

    fn on_upstream_close(&mut self, _: PeerType) -> Result<()> {
        Ok(())
    }

    fn on_done(&mut self) -> Result<()> {
        Ok(())
    }

    fn on_log(&mut self) -> Result<()> {
        Ok(())
    }

    fn on_delete(&mut self) -> Result<()> {
        Ok(())
    }

    fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy::Open
    }
}

proxy_filter::module!(requests::Root, Root);

fn main() {
    let exports = __proxy_filter::module().exports;
    assert!(exports.iter().any(|(name, _)| *name == "proxy_on_upstream_connection_close"));
}
