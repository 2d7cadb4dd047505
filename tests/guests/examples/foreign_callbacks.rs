//! Calls foreign functions by name, and tells of the calls that come back: to its root contexts, to
//! a request and to a connection.

use proxy_filter::foreign;
use proxy_filter::prelude::*;
use std::time::Duration;

/// Calls a foreign function.
fn call(name: &str) {
    match foreign::call(name, b"argument") {
        Ok(result) => log::info!("{name} returned {} bytes", result.len()),
        Err(error) => log::info!("{name}: {error}"),
    }
}

/// Tells of a call that came back.
fn told(who: &str, function_id: u32, arguments: &[u8]) -> Result<()> {
    log::info!("{who}: {function_id} {}", escaped(arguments));
    if arguments == b"again" {
        call("back");
    }
    if arguments == b"bad" { Err("told to fail".into()) } else { Ok(()) }
}

#[derive(Default)]
struct Requests;

#[proxy_filter::root(root_id = "requests")]
impl RootContext for Requests {
    type Context = Request;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        let names = String::from_utf8(configuration.bytes()?)?;
        names.split_whitespace().for_each(call);
        log::info!("configured");
        Ok(())
    }

    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        told("root", function_id, &arguments)
    }

    fn new_context(&self) -> Request {
        Request
    }
}

struct Request;

#[proxy_filter::context(timers)]
impl Context for Request {
    /// `/name` calls a function, and `/name/wait` waits besides.
    fn on_request_headers(
        &mut self,
        request: &mut RequestHeaders,
        _end_of_stream: bool,
    ) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default().to_string();
        let mut parts = path.trim_start_matches('/').split('/');
        call(parts.next().unwrap_or_default());
        if parts.next() != Some("wait") {
            return Ok(FilterHeadersStatus::Continue);
        }
        request.pause_for(self, Timer::after(Duration::from_secs(1)), |_, _, elapsed| {
            elapsed?;
            call("back");
            log::info!("waited");
            Ok(FilterHeadersStatus::Continue)
        })
    }

    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        told("request", function_id, &arguments)
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
    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        call("back");
        log::info!("connected");
        Ok(NetworkFilterStatus::Continue)
    }

    fn on_foreign_function(&mut self, function_id: u32, arguments: Vec<u8>) -> Result<()> {
        told("connection", function_id, &arguments)
    }
}

proxy_filter::module!(Requests, Connections);
