//! What the codecs and the connection manager make of a request.

use super::super::fields::Map;
use super::super::flags::DOWNSTREAM_PROTOCOL_ERROR;
use super::super::stream::LocalReply;
use crate::message::Fields;
use crate::not_played::NotPlayed;

/// The most fields of a message: `max_headers_count` of the configuration for tests.
pub(super) const MAX_FIELDS: usize = 1000;
/// The most bytes of a head: `max_request_headers_kb` of the configuration for tests.
pub(super) const MAX_BYTES: usize = 96 * 1024;
/// The most bytes that one field of HTTP/2 may have.
pub(super) const MAX_FIELD_OVER_HTTP2: usize = 64 * 1024;

/// What becomes of a request before the filters run.
pub(in super::super) enum Decoded {
    /// The filters see it.
    Request(Box<Head>),
    /// Envoy answers it itself.
    Refused(Box<Refusal>),
    /// Envoy resets the stream. Neither the filters nor access logs know of it.
    Reset,
    /// The host does not play it.
    NotPlayed(NotPlayed),
}

/// A request as the first filter sees it.
pub(in super::super) struct Head {
    pub(in super::super) map: Map,
    /// The message ends with its headers.
    pub(in super::super) end: bool,
    /// What is wrong with what follows the headers.
    pub(in super::super) broken: Option<Malformed>,
    /// It asks for another protocol that Envoy lets through.
    pub(in super::super) upgrade: bool,
    /// The client wants the connection to be closed.
    pub(in super::super) closes: bool,
}

/// A request that Envoy answers itself.
pub(in super::super) struct Refusal {
    pub(in super::super) reply: LocalReply,
    pub(in super::super) flags: u64,
    /// The headers that access logs see.
    pub(in super::super) logged: Option<Map>,
    /// Envoy closes the connection then.
    pub(in super::super) closes: bool,
}

/// What is wrong with the body or the trailers of a request.
#[derive(Clone, Debug)]
pub(in super::super) enum Malformed {
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
