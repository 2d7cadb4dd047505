//! What a filter can do to connections. The plugin's configuration says what it does.

use proxy_filter::prelude::*;
use proxy_filter::{Status, stream_info, sys};
use std::rc::Rc;
use std::time::Duration;

#[derive(Default)]
struct Root {
    mode: Rc<str>,
}

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn on_configure(&mut self, configuration: Configuration) -> Result<()> {
        self.mode = String::from_utf8(configuration.bytes()?)?.into();
        Ok(())
    }

    fn new_context(&self) -> Stream {
        Stream { mode: Rc::clone(&self.mode) }
    }
}

struct Stream {
    mode: Rc<str>,
}

impl Stream {
    /// What happens to data, whichever way it goes.
    fn treat(&self, data: &mut StreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        let text = data.to_bytes()?;
        match &*self.mode {
            "edit" => edit(data, &text)?,
            "raw" if text.starts_with(b"raw") => return Ok(raw()),
            "raw" if text.starts_with(b"wait") => return Ok(NetworkFilterStatus::StopIteration),
            "raw" if text.starts_with(b"go") => {
                log::info!("{:?}", sys::proxy_continue_stream(2));
            }
            "lines" if !text.ends_with(b"\n") && !end_of_stream => return Ok(NetworkFilterStatus::StopIteration),
            "never" => return Ok(NetworkFilterStatus::StopIteration),
            "guard" if text.starts_with(b"bad") => return Ok(NetworkFilterStatus::Close),
            "fail" | "fail open" if text.starts_with(b"bad") => return Err(Error::other("bad data")),
            "end" if end_of_stream => data.append("the end")?,
            "guard the end" if end_of_stream => return Ok(NetworkFilterStatus::Close),
            #[allow(clippy::panic, reason = "this is what the test is about")]
            "panic" if text.starts_with(b"bad") => panic!("bad data"),
            _ => {}
        }
        Ok(NetworkFilterStatus::Continue)
    }

    fn note(&self, what: impl FnOnce() -> String) {
        if &*self.mode == "watch" {
            log::info!("{}", what());
        }
    }
}

/// Asks the host for things it has for requests only, and then to let the client's data go on.
fn raw() -> NetworkFilterStatus {
    let status =
        |result: std::result::Result<(), Status>| result.err().map_or("Ok", |status| status.name().unwrap_or("?"));
    let header = sys::proxy_get_header_map_value(0, b":path").map(drop);
    let closed = [0, 1].map(|stream| status(sys::proxy_close_stream(stream)));
    let replied = status(sys::proxy_send_local_response(500, b"", b"", b"", -1));
    let other = sys::proxy_get_buffer_bytes(3, 0, 10).map_or(99, |bytes| bytes.len());
    let body = status(sys::proxy_set_buffer_bytes(0, 0, 0, b"x"));
    let unknown = status(sys::proxy_continue_stream(3));
    log::info!("{} {closed:?} {replied} {other} {body} {unknown}", status(header));
    log::info!("{}", status(sys::proxy_continue_stream(2)));
    NetworkFilterStatus::StopIteration
}

/// Does what the data says.
fn edit(data: &mut StreamData, text: &[u8]) -> Result<()> {
    match text {
        b"replace" => data.replace("something else"),
        b"prepend" => data.prepend("before "),
        b"append" => data.append(" after"),
        b"drop" => data.replace(""),
        b"drain" => data.drain(2),
        b"drain all" => data.drain(100),
        b"several" => {
            data.drain(1)?;
            data.prepend("S")?;
            data.append("!")?;
            log::info!("{} bytes: {}", data.len(), escaped(&data.bytes(1, 4)?));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What the host knows about the connection.
fn attributes() -> Result<String> {
    let ip = |address: Option<stream_info::Address>| address.and_then(|address| address.ip());
    let (source, upstream) = (ip(stream_info::source().address()?), ip(stream_info::upstream().address()?));
    let (xds, request, response) = (stream_info::xds(), stream_info::request(), stream_info::response());
    let cluster = xds.cluster_name()?.map(|name| name.to_string());
    let route = xds.route_name()?;
    let chain = xds.filter_chain_name()?.map(|name| name.to_string());
    let (path, protocol, headers) = (request.path()?, request.protocol()?, request.headers()?.map(|pairs| pairs.len()));
    let (time, duration) = (request.time()?.is_some(), request.duration()?);
    let (received, sent, flags, code) = (request.size()?, response.size()?, response.flags()?, response.code()?);
    let (tls, server_name) =
        (stream_info::connection().tls_version()?, stream_info::connection().requested_server_name()?);
    Ok(format!(
        "{source:?} {upstream:?} {cluster:?} {route:?} {chain:?}, {path:?} {protocol:?} {headers:?} {time} {duration:?}, \
         {received:?} {sent:?} {flags:?} {code:?}, {tls:?} {server_name:?}"
    ))
}

#[proxy_filter::stream_context(http_calls, timers)]
impl StreamContext for Stream {
    fn on_create(&mut self) -> Result<()> {
        if &*self.mode == "create" { Err(Error::other("no")) } else { Ok(()) }
    }

    fn on_new_connection(&mut self) -> Result<NetworkFilterStatus> {
        self.note(|| format!("new: {}", attributes().unwrap_or_else(|error| error.to_string())));
        match &*self.mode {
            "deny" => Ok(NetworkFilterStatus::Close),
            "hold" => Ok(NetworkFilterStatus::StopIteration),
            "fail new" => Err(Error::other("no new ones")),
            _ => Ok(NetworkFilterStatus::Continue),
        }
    }

    fn on_downstream_data(&mut self, data: &mut DownstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        self.note(|| format!("downstream {} {end_of_stream}", data.len()));
        if &*self.mode == "ask" && !data.is_empty() {
            let call = HttpCall::get("authz", "/check").header("x-client", data.to_bytes()?);
            return data.pause_for(self, call, |_, _, answer| {
                let allowed = answer?.status() == 200;
                Ok(if allowed { NetworkFilterStatus::Continue } else { NetworkFilterStatus::Close })
            });
        }
        if &*self.mode == "later" {
            return data.pause_for(self, Timer::after(Duration::from_millis(20)), |_, data, elapsed| {
                elapsed?;
                let close = data.bytes(0, 3)? == b"bad";
                data.append(" later")?;
                Ok(if close { NetworkFilterStatus::Close } else { NetworkFilterStatus::Continue })
            });
        }
        if &*self.mode == "never downstream" {
            return Ok(NetworkFilterStatus::StopIteration);
        }
        self.treat(data, end_of_stream)
    }

    fn on_upstream_data(&mut self, data: &mut UpstreamData, end_of_stream: bool) -> Result<NetworkFilterStatus> {
        self.note(|| format!("upstream {} {end_of_stream}", data.len()));
        if &*self.mode == "never upstream" {
            return Ok(NetworkFilterStatus::StopIteration);
        }
        self.treat(data, end_of_stream)
    }

    fn on_downstream_close(&mut self, peer: PeerType) -> Result<()> {
        self.note(|| format!("downstream closed by {peer:?}"));
        if &*self.mode == "fail close" { Err(Error::other("closing")) } else { Ok(()) }
    }

    fn on_upstream_close(&mut self, peer: PeerType) -> Result<()> {
        self.note(|| format!("upstream closed by {peer:?}"));
        Ok(())
    }

    fn on_done(&mut self) -> Result<()> {
        self.note(|| "done".into());
        Ok(())
    }

    fn on_log(&mut self) -> Result<()> {
        self.note(|| format!("log: {}", attributes().unwrap_or_else(|error| error.to_string())));
        Ok(())
    }

    fn on_delete(&mut self) -> Result<()> {
        self.note(|| "delete".into());
        Ok(())
    }

    fn failure_policy(&self) -> FailurePolicy {
        if &*self.mode == "fail open" { FailurePolicy::Open } else { FailurePolicy::Closed }
    }
}
