// A decision that is made and not returned. `sdk/tests/decisions.rs` checks that every one is here.
#![deny(unused_must_use)]

use proxy_filter::foreign::{self, Expression, Key};
use proxy_filter::prelude::*;
use proxy_filter::{grpc::{GrpcBytes, GrpcCall, GrpcStream}, timer::Interval};
use std::time::Duration;

#[derive(Default)]
struct Root;

#[proxy_filter::root(root_id = "requests")]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context(timers)]
impl Context for Stream {}

fn of_request_headers(stream: &mut Stream, handle: &mut RequestHeaders) -> Result<FilterHeadersStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterHeadersStatus::Pause))?;
    Ok(FilterHeadersStatus::Continue)
}

fn of_request_body(stream: &mut Stream, handle: &mut RequestBody) -> Result<FilterDataStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterDataStatus::Pause))?;
    Ok(FilterDataStatus::Continue)
}

fn of_request_trailers(stream: &mut Stream, handle: &mut RequestTrailers) -> Result<FilterTrailersStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterTrailersStatus::Pause))?;
    Ok(FilterTrailersStatus::Continue)
}

fn of_response_headers(stream: &mut Stream, handle: &mut ResponseHeaders) -> Result<FilterHeadersStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterHeadersStatus::Pause))?;
    Ok(FilterHeadersStatus::Continue)
}

fn of_response_body(stream: &mut Stream, handle: &mut ResponseBody) -> Result<FilterDataStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterDataStatus::Pause))?;
    Ok(FilterDataStatus::Continue)
}

fn of_response_trailers(stream: &mut Stream, handle: &mut ResponseTrailers) -> Result<FilterTrailersStatus> {
    handle.reply(LocalReply::new(401))?;
    handle.close_stream()?;
    handle.pause_for(stream, Timer::after(Duration::ZERO), |_, _, _| Ok(FilterTrailersStatus::Pause))?;
    Ok(FilterTrailersStatus::Continue)
}

#[derive(Default)]
struct Gate;

#[proxy_filter::root(root_id = "connections")]
impl RootContext for Gate {
    type Context = Connection;

    fn new_context(&self) -> Connection {
        Connection
    }
}

struct Connection;

#[proxy_filter::stream_context(timers)]
impl StreamContext for Connection {}

fn of_downstream_data(connection: &mut Connection, data: &mut DownstreamData) -> Result<NetworkFilterStatus> {
    data.pause_for(connection, Timer::after(Duration::ZERO), |_, _, _| Ok(NetworkFilterStatus::Close))?;
    Ok(NetworkFilterStatus::Continue)
}

async fn of_exchanges(one: Exchange, two: Exchange) -> Result<()> {
    one.reply(LocalReply::new(401));
    two.close_stream();
    Ok(())
}

fn of_replies(reply: LocalReply, another: LocalReply) {
    LocalReply::new(401);
    LocalReply::new(401).header("a", "b");
    LocalReply::new(401).body("c");
    LocalReply::new(401).details("d");
    LocalReply::new(401).grpc_status(16);
    FilterHeadersStatus::from(reply);
    Error::from(another);
    LocalReply::new(401).clone();
}

fn of_errors(error: Error) -> Result<()> {
    Error::other("no");
    error.with_reply(LocalReply::new(403));
    Ok(())
}

fn of_verdicts(text: &[u8], signature: &[u8]) -> Result<()> {
    foreign::verify_signature("sha256", Key::Pem("k"), text, signature)?;
    Ok(())
}

fn of_expressions(expression: &Expression) -> Result<()> {
    expression.matches()?;
    expression.matches()?.is_true();
    Ok(())
}

fn of_policies(stream: &Stream, connection: &Connection) {
    stream.failure_policy();
    connection.failure_policy();
}

fn of_callouts() {
    HttpCall::get("a", "/").header("b", "c");
    Timer::after(Duration::ZERO);
    Interval::new(Duration::from_millis(1));
    GrpcCall::<GrpcBytes>::new("a", "b", "c", &GrpcBytes(Vec::new()));
    GrpcStream::<GrpcBytes, GrpcBytes>::new("a", "b", "c");
    HttpCall::get("a", "/").into_future();
}

proxy_filter::module!(Root, Gate);

fn main() {}
