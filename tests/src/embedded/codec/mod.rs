//! What Envoy's codecs make of a message that comes from the wire, and what its connection manager
//! does to it before the filters run. Measured on Envoy 1.40.

mod connection_manager;
mod http1;
mod http2;
mod response;
mod syntax;

pub(super) use connection_manager::refuse_response;
pub(super) use response::{Broken, Response, Unfit, decode as decode_response};

use super::fields::Map;
use super::incoming::Incoming;
use super::stream::LocalReply;
use crate::message::{Fields, Protocol, Reply, Request};
use crate::not_played::NotPlayed;
use std::time::Duration;

/// `ResponseFlags`: the client broke the rules of its protocol.
pub(super) const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
/// `ResponseFlags`: the client reset the stream.
const DOWNSTREAM_REMOTE_RESET: u64 = 1 << 28;
/// `ResponseFlags`: the upstream reset the stream.
pub(super) const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
/// `ResponseFlags`: the upstream broke the rules of its protocol.
pub(super) const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
/// The most fields of a message: `max_headers_count` of the configuration for tests.
const MAX_FIELDS: usize = 1000;
/// The most bytes of a head: `max_request_headers_kb` of the configuration for tests.
const MAX_BYTES: usize = 96 * 1024;

/// The most bytes that one field of HTTP/2 may have.
const MAX_FIELD_OVER_HTTP2: usize = 64 * 1024;

/// What becomes of a request before the filters run.
pub(super) enum Decoded {
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
pub(super) struct Head {
    pub(super) map: Map,
    /// The message ends with its headers.
    pub(super) end: bool,
    /// What is wrong with what follows the headers.
    pub(super) broken: Option<Malformed>,
    /// It asks for another protocol that Envoy lets through.
    pub(super) upgrade: bool,
    /// The client wants the connection to be closed.
    pub(super) closes: bool,
}

/// A request that Envoy answers itself.
pub(super) struct Refusal {
    pub(super) reply: LocalReply,
    pub(super) flags: u64,
    /// The headers that access logs see.
    pub(super) logged: Option<Map>,
    /// Envoy closes the connection then.
    pub(super) closes: bool,
}

/// What is wrong with the body or the trailers of a request.
#[derive(Clone, Debug)]
pub(super) enum Malformed {
    /// The chunk with this number is not delivered: the stream is reset.
    Data(usize, &'static str),
    /// The trailers are not delivered.
    Trailers(&'static str),
}

/// Decodes a request. `upgrades` are the protocols that may be asked for.
pub(super) fn decode(request: &Request, upgrades: &[String]) -> Decoded {
    let has_empty_line = |(_, value): &(Vec<u8>, Vec<u8>)| has_empty_line(value);
    if request.protocol == Protocol::Http1 && request.headers.iter().chain(&request.trailers).any(has_empty_line) {
        return Decoded::NotPlayed(NotPlayed::EmptyLine);
    }
    let decoded = match request.protocol {
        Protocol::Http1 => match http1::not_played(request) {
            Some(why) => return Decoded::NotPlayed(why),
            None => http1::decode(request),
        },
        Protocol::Http2 => http2::decode(request),
    };
    match decoded {
        Decoded::Request(head) => connection_manager::admit(*head, request, upgrades),
        refused => refused,
    }
}

/// Whether a value has two line ends in a row.
fn has_empty_line(value: &[u8]) -> bool {
    let mut ends = value.split(|byte| *byte == b'\n').skip(1);
    ends.any(|line| line.is_empty() || line == b"\r")
}

/// Why the host does not play a response.
pub(super) fn not_played(reply: &Reply, request: &Request) -> Option<NotPlayed> {
    let over_http1 = request.protocol == Protocol::Http1;
    match reply.status {
        101 if over_http1 && !request.is_upgrade() => Some(NotPlayed::UnaskedUpgrade),
        101 => None,
        100..=199 if over_http1 => Some(NotPlayed::InformationalResponse(reply.status)),
        _ => {
            let has_empty_line = |(_, value): &(Vec<u8>, Vec<u8>)| has_empty_line(value);
            let is_odd = over_http1 && reply.headers.iter().chain(&reply.trailers).any(has_empty_line);
            is_odd.then_some(NotPlayed::EmptyLine)
        }
    }
}

/// The parts of a request's body as the codec delivers them.
pub(super) fn incoming(request: &Request, now: Duration) -> Incoming {
    Incoming::of(&request.body, &request.trailers, request.protocol, now)
}

/// Whether a trailer is one that no filter sees, because the codec refuses it.
fn trailers_error(trailers: &Fields, protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Http1 => http1::trailers_error(trailers),
        Protocol::Http2 => http2::trailers_error(trailers),
    }
}

/// What Envoy answers to trailers that are refused over HTTP/1.
pub(super) fn malformed_reply(details: &str) -> LocalReply {
    let is_too_large = details == "http1.too_many_headers" || details == "http1.headers_too_large";
    reply_of_codec(if is_too_large { 431 } else { 400 }, details)
}

/// The flags of a stream whose trailers or data are refused.
pub(super) fn malformed_flags(details: &str) -> u64 {
    if details == "http2.too_many_headers" { DOWNSTREAM_REMOTE_RESET } else { DOWNSTREAM_PROTOCOL_ERROR }
}

/// A refusal by the codec: nothing is known of the headers.
fn codec_error(status: u32, details: &str) -> Decoded {
    let reply = reply_of_codec(status, details);
    Decoded::Refused(Box::new(Refusal { reply, flags: DOWNSTREAM_PROTOCOL_ERROR, logged: None, closes: true }))
}

fn reply_of_codec(status: u32, details: &str) -> LocalReply {
    let body = match status {
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "Bad Request",
    };
    LocalReply { status, details: details.into(), body: body.into(), headers: Fields::new(), grpc_status: -1 }
}
