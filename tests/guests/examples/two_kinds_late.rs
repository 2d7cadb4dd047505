//! A filter of requests and a filter of connections that see nothing but the end of their streams.

use proxy_filter::prelude::*;

#[derive(Default)]
struct Requests;

#[proxy_filter::root(root_id = "requests")]
impl RootContext for Requests {
    type Context = Request;

    fn new_context(&self) -> Request {
        Request
    }
}

struct Request;

#[proxy_filter::context]
impl Context for Request {
    fn on_log(&mut self, _log: &LogContext) -> Result<()> {
        log::info!("a request is over");
        Ok(())
    }
}

#[derive(Default)]
struct Connections;

#[proxy_filter::root(root_id = "connections")]
impl RootContext for Connections {
    type Context = Connection;

    fn new_context(&self) -> Connection {
        Connection
    }
}

struct Connection;

#[proxy_filter::stream_context]
impl StreamContext for Connection {
    fn on_log(&mut self) -> Result<()> {
        log::info!("a connection is over");
        Ok(())
    }
}

proxy_filter::module!(Requests, Connections);
