//! What Envoy's codecs make of a message that comes from the wire, and what its connection manager
//! does to it before the filters run. Measured on Envoy 1.40.

mod connection_manager;
mod decoded;
mod http1;
mod http2;
mod response;
mod syntax;

pub(super) use connection_manager::refuse_response;
pub(in crate::embedded) use decoded::{Decoded, Head, Malformed, Refusal};
pub(super) use response::{Broken, Response, Unfit, decode as decode_response};

use crate::embedded::flags::{DOWNSTREAM_PROTOCOL_ERROR, DOWNSTREAM_REMOTE_RESET};
use crate::embedded::stream::LocalReply;
use crate::message::{Protocol, Reply, Request};
use crate::not_played::NotPlayed;
use decoded::reply_of_codec;

/// Decodes a request. `upgrades` are the allowed protocols of an upgrade.
pub(in crate::embedded) fn decode(request: &Request, upgrades: &[String]) -> Decoded {
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

/// The local reply of Envoy to trailers that are refused over HTTP/1.
pub(super) fn malformed_reply(details: &str) -> LocalReply {
    let is_too_large = details == "http1.too_many_headers" || details == "http1.headers_too_large";
    reply_of_codec(if is_too_large { 431 } else { 400 }, details)
}

/// The flags of a stream whose trailers or data are refused.
pub(super) fn malformed_flags(details: &str) -> u64 {
    if details == "http2.too_many_headers" { DOWNSTREAM_REMOTE_RESET } else { DOWNSTREAM_PROTOCOL_ERROR }
}
