//! What the codecs and the connection manager make of a request.

use crate::embedded::fields::Map;
use crate::embedded::flags::DOWNSTREAM_PROTOCOL_ERROR;
use crate::embedded::stream::LocalReply;
use crate::message::Fields;
use crate::not_played::NotPlayed;

/// The most fields of a message: `max_headers_count` of the configuration for tests.
pub(super) const MAX_FIELDS: usize = 1000;
/// The most bytes of a head: `max_request_headers_kb` of the configuration for tests.
pub(super) const MAX_BYTES: usize = 96 * 1024;
/// The most bytes that one field of HTTP/2 may have.
pub(super) const MAX_FIELD_OVER_HTTP2: usize = 64 * 1024;

/// What becomes of a request before the filters run.
pub(in crate::embedded) enum Decoded {
    /// The filters see it.
    Request(Box<Head>),
    /// Envoy sends a local reply.
    Refused(Box<Refusal>),
    /// Envoy resets the stream. Neither the filters nor access logs know of it.
    Reset,
    /// The host does not play it.
    NotPlayed(NotPlayed),
}

impl Decoded {
    /// Whether there is a stream.
    pub(in crate::embedded) const fn has_stream(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Refused(_))
    }
}

/// A request as the first filter sees it.
pub(in crate::embedded) struct Head {
    pub(in crate::embedded) map: Map,
    /// The message ends with its headers.
    pub(in crate::embedded) end: bool,
    /// What is wrong with what follows the headers.
    pub(in crate::embedded) broken: Option<Malformed>,
    /// The request opens a tunnel that Envoy allows.
    pub(in crate::embedded) tunnel: bool,
    /// The client requests that the connection is closed.
    pub(in crate::embedded) closes: bool,
}

/// A request that gets a local reply of Envoy.
pub(in crate::embedded) struct Refusal {
    pub(in crate::embedded) reply: LocalReply,
    pub(in crate::embedded) flags: u64,
    /// The headers that access logs see.
    pub(in crate::embedded) logged: Option<Map>,
    /// Envoy closes the connection then.
    pub(in crate::embedded) closes: bool,
}

/// What is wrong with the body or the trailers of a request.
#[derive(Clone, Debug)]
pub(in crate::embedded) enum Malformed {
    /// The chunk with this number is not delivered: the stream is reset.
    Data(usize, &'static str),
    /// The trailers are not delivered.
    Trailers(&'static str),
}

/// A refusal by the codec: nothing is known of the headers.
pub(super) fn codec_error(status: u32, details: &str) -> Decoded {
    let reply = reply_of_codec(status, details);
    Decoded::Refused(Box::new(Refusal { reply, flags: DOWNSTREAM_PROTOCOL_ERROR, logged: None, closes: true }))
}

/// A local reply of the codec.
pub(super) fn reply_of_codec(status: u32, details: &str) -> LocalReply {
    let body = match status {
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "Bad Request",
    };
    LocalReply { status, details: details.into(), body: body.into(), headers: Fields::new(), grpc_status: -1 }
}
