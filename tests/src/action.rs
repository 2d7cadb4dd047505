//! What a server does for the filters in its path.

use crate::message::Fields;
use crate::record::Event;
use std::time::{Duration, Instant};

/// Which way a part of a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the filter to the upstream: a part of the request.
    ToUpstream,
    /// From the filter to the client: a part of the response.
    ToClient,
}

/// A part of a message that all filters of a VM have forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The headers, with the pseudo-headers among them. The flag is the end of the message.
    Headers(Fields, bool),
    /// A chunk of the body. The flag is the end of the message.
    Data(Vec<u8>, bool),
    /// The trailers, which end the message.
    Trailers(Fields),
    /// The stream ends here, before its message does.
    Reset,
}

/// What a server must do, in this order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Send a part of a message of the stream with this number.
    Send(u64, Direction, Part),
    /// The stream with this number is over, and its contexts are deleted.
    Ended(u64),
    /// Make an HTTP callout, and report its end with `LiveFilter::call_ended`.
    Call(Call),
    /// Begin a gRPC call or stream, send on it, or cancel it. Report what comes of it with
    /// `LiveFilter::grpc`.
    Grpc(GrpcAction),
    /// The events of the module and their times, for a stream or on its own. The end of a callout
    /// belongs to the stream that made the callout.
    Events(Option<u64>, Vec<(Instant, Event)>),
}

/// An HTTP callout of a module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The number that `LiveFilter::call_ended` takes.
    pub token: u32,
    /// The stream that makes the callout; `None` for a callout of the plugin itself.
    pub stream: Option<u64>,
    /// The cluster that is called.
    pub cluster: String,
    /// The headers, with `:method`, `:path` and `:authority` among them.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// How long the callout may take. The filter gets a 504 then, without the server's help.
    pub timeout: Option<Duration>,
}

/// How a callout ended.
#[derive(Clone, Debug)]
pub enum CallEnd {
    /// The cluster responded: its headers with `:status`, the body, and the trailers.
    Response(Fields, Vec<u8>, Fields),
    /// No connection could be made, or it ended before a response.
    Failed,
}

/// A step of a gRPC call or stream that a server makes for a module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GrpcAction {
    /// Send the headers of a request over HTTP/2.
    Begin(GrpcCall),
    /// Send bytes of the body of the request with this token: a message with its frame, or nothing.
    /// The flag is the end of the request.
    Send(u32, Vec<u8>, bool),
    /// Reset the call or stream with this token, unless it is over. The module expects nothing more
    /// of it.
    Cancel(u32),
}

/// The begin of a gRPC call or stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrpcCall {
    /// The number that `LiveFilter::grpc` takes.
    pub token: u32,
    /// The stream that makes the call; `None` for a call of the plugin itself.
    pub stream: Option<u64>,
    /// The cluster that is called.
    pub cluster: String,
    /// The headers, with `:method`, `:path` and `:authority` among them.
    pub headers: Fields,
    /// How long the call may take. Report `GrpcEvent::TimedOut` then.
    pub timeout: Option<Duration>,
}

/// A part of the response to a gRPC call or stream.
#[derive(Clone, Debug)]
pub enum GrpcEvent {
    /// The headers, `:status` among them. The flag is the end of the response.
    Headers(Fields, bool),
    /// Bytes of the body: messages with their frames, in any chunks.
    Data(Vec<u8>),
    /// The end of the response, with its trailers.
    End(Fields),
    /// No connection could be made, or it ended before the response.
    Failed,
    /// The timeout of the call has passed.
    TimedOut,
}
