//! What a server does for the filters in its path.

use crate::message::Fields;
use crate::record::Event;
use std::time::Duration;

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
    /// What the module has done, for a stream or on its own.
    Events(Option<u64>, Vec<Event>),
}

/// An HTTP callout of a module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The number that `LiveFilter::call_ended` takes.
    pub token: u32,
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
