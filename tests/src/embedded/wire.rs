//! Messages on their way between client, module and upstream: what Envoy changes when it takes them
//! from the wire or puts them there.

use super::fields::{Kind, Map};
use super::info::grpc_status;
use super::stream::LocalReply;
use super::valid;
use crate::message::{Body, Fields, Protocol, Received, Reply, Request, SWITCHING_PROTOCOLS};
use std::time::{Duration, SystemTime};

/// Fields of one hop that no filter sees.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "upgrade", "te"];
/// The most bytes of a DATA frame.
const MAX_FRAME: usize = 16 * 1024;
/// The last second that the field `date` can name, since 1970.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);
/// The upstream's service time: a test does not depend on the machine.
pub(super) const SERVICE_TIME: &str = "0";
const RESPONSE_FLAGS_TIMEOUT: &str = "15000";

fn trim(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().to_vec()
}

fn hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|field| field.as_bytes() == name)
}

/// The chunks of a body as the host delivers them, each with whether it ends the message.
pub(crate) fn pieces(body: &Body, trailers: bool, protocol: Protocol) -> Vec<(Vec<u8>, bool)> {
    let chunks = match body {
        Body::Absent => return Vec::new(),
        Body::Sized(bytes) => vec![bytes.clone()],
        Body::Chunked(chunks) => chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect(),
    };
    let size = match protocol {
        Protocol::Http1 => usize::MAX,
        Protocol::Http2 => MAX_FRAME,
    };
    let parts = chunks.iter().flat_map(|chunk| chunk.chunks(size));
    let mut pieces: Vec<_> = parts.map(|part| (part.to_vec(), false)).collect();
    match pieces.last_mut() {
        _ if trailers => {}
        // HTTP/2 ends with the last DATA frame, HTTP/1 with what comes after the last byte.
        Some((_, end)) if protocol == Protocol::Http2 => *end = true,
        _ => pieces.push((Vec::new(), true)),
    }
    pieces
}

/// Whether the headers end the message.
pub(crate) fn ends_with_headers(body: &Body, trailers: &Fields) -> bool {
    let empty = match body {
        Body::Absent => true,
        Body::Sized(bytes) => bytes.is_empty(),
        Body::Chunked(_) => false,
    };
    empty && trailers.is_empty()
}

/// The request headers with what the router adds.
pub(crate) fn routed(map: &Map) -> Map {
    let mut routed = map.clone();
    if !map.get(b":scheme").is_some_and(|scheme| scheme == b"http" || scheme == b"https") {
        routed.overwrite(b":scheme", b"http");
    }
    routed.overwrite(b"x-envoy-expected-rq-timeout-ms", RESPONSE_FLAGS_TIMEOUT.as_bytes());
    routed
}

/// The request as the upstream receives it. `only_headers`: over HTTP/1, the message ends with
/// them.
pub(crate) fn upstream(
    routed: &Map,
    body: &[u8],
    trailers: Option<&Map>,
    complete: bool,
    only_headers: bool,
    protocol: Protocol,
) -> Received {
    let mut headers = Fields::new();
    for pseudo in [":method", ":path", ":authority"] {
        if let Some(value) = routed.get(pseudo.as_bytes()) {
            headers.push((pseudo.into(), value.to_vec()));
        }
    }
    let method = routed.get(b":method").unwrap_or_default().to_vec();
    let is_framing = |name: &[u8]| protocol == Protocol::Http1 && framing(name);
    let rest = routed.fields().iter().filter(|(name, _)| !name.starts_with(b":") && !is_framing(name));
    headers.extend(rest.map(|field| written(field, protocol)));
    let announces = ![&b"GET"[..], b"HEAD", b"DELETE", b"TRACE", b"CONNECT"].contains(&method.as_slice());
    if only_headers && announces && routed.get(b"content-length").is_none() {
        headers.push((b"content-length".into(), b"0".into()));
    }
    Received {
        trailers: sent_trailers(&headers, trailers, protocol),
        headers,
        body: body.to_vec(),
        complete,
        cluster: String::new(),
    }
}

/// The trailers of a message as its receiver reads them. Over HTTP/1, a message with a length has
/// none.
fn sent_trailers(headers: &Fields, trailers: Option<&Map>, protocol: Protocol) -> Fields {
    let has_length = protocol == Protocol::Http1 && headers.iter().any(|(name, _)| name == b"content-length");
    trailers.filter(|_| !has_length).map(|map| map.fields().clone()).unwrap_or_default()
}

/// A message whose fields of one name are together, at the place of the first.
pub(crate) fn grouped(mut message: Received) -> Received {
    for fields in [&mut message.headers, &mut message.trailers] {
        let mut rest = std::mem::take(fields);
        while let Some((name, _)) = rest.first().cloned() {
            fields.extend(rest.extract_if(.., |(other, _)| *other == name));
        }
    }
    message
}

/// A field as its receiver reads it: over HTTP/1 without blanks at its ends.
fn written((name, value): &(Vec<u8>, Vec<u8>), protocol: Protocol) -> (Vec<u8>, Vec<u8>) {
    match protocol {
        Protocol::Http1 => (name.clone(), trim(value)),
        Protocol::Http2 => (name.clone(), value.clone()),
    }
}

fn framing(name: &[u8]) -> bool {
    name == b"connection" || name == b"transfer-encoding"
}

/// The upstream's response headers as the module sees them.
pub(crate) fn response_map(reply: &Reply, protocol: Protocol) -> Map {
    let mut map = Map::new(Kind::Response);
    map.add(b":status", reply.status.to_string().as_bytes());
    for (name, value) in &reply.headers {
        let name = name.to_ascii_lowercase();
        if !hop_by_hop(&name) || reply.status == SWITCHING_PROTOCOLS && name == b"upgrade" {
            map.add(&name, &trim(value));
        }
    }
    match &reply.body {
        Body::Sized(bytes) => {
            let announced = bytes.len() + usize::from(reply.cut_off);
            map.add_if_missing("content-length", &announced.to_string());
        }
        Body::Absent if reply.cut_off && protocol == Protocol::Http1 => map.add_if_missing("content-length", "1"),
        Body::Absent
            if reply.trailers.is_empty()
                && protocol == Protocol::Http1
                && reply.status != 204
                && reply.status != 304 =>
        {
            map.add_if_missing("content-length", "0");
        }
        Body::Chunked(_) | Body::Absent
            if protocol == Protocol::Http1 && ![SWITCHING_PROTOCOLS, 204, 304].contains(&reply.status) =>
        {
            map.add_if_missing("transfer-encoding", "chunked");
        }
        _ => {}
    }
    map.overwrite(b"x-envoy-upstream-service-time", SERVICE_TIME.as_bytes());
    map
}

/// The headers of a local reply as the module sees them.
pub(crate) fn local_reply_map(reply: &LocalReply) -> Map {
    let mut map = Map::new(Kind::Response);
    map.add(b":status", reply.status.to_string().as_bytes());
    for (name, value) in &reply.headers {
        if name != b":status" && !name.eq_ignore_ascii_case(b"content-length") {
            map.add(name, value);
        }
    }
    if !reply.body.is_empty() {
        map.add(b"content-length", reply.body.len().to_string().as_bytes());
        map.add_if_missing("content-type", "text/plain");
    }
    map
}

/// The response headers with what Envoy adds last. `closes`: it closes the connection then. `now`:
/// what the wall clock says.
pub(crate) fn finished(map: &Map, closes: bool, protocol: Protocol, now: Duration) -> Map {
    let mut finished = map.clone();
    for name in [&b"connection"[..], b"transfer-encoding", b"proxy-connection"] {
        finished.remove(name);
    }
    if finished.get(b":status") != Some(b"101") {
        finished.remove(b"upgrade");
    }
    if protocol == Protocol::Http2 {
        finished.remove(b"keep-alive");
    }
    finished.add_if_missing("date", &httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + now.min(LAST_DATE)));
    finished.overwrite(b"server", b"envoy");
    if closes {
        finished.add(b"connection", b"close");
    }
    finished
}

/// The response as the client receives it.
pub(crate) fn client(
    finished: &Map,
    body: &[u8],
    trailers: Option<&Map>,
    ends_with_headers: bool,
    complete: bool,
    request: &Request,
) -> Received {
    let is_sent = |(name, _): &&(Vec<u8>, Vec<u8>)| !name.starts_with(b":") || name == b":status";
    let is_framing = |name: &[u8]| request.protocol == Protocol::Http1 && framing(name);
    let fields = finished.fields().iter().filter(is_sent).filter(|(name, _)| !is_framing(name));
    let mut headers: Fields = fields.map(|field| written(field, request.protocol)).collect();
    let status = finished.get(b":status").unwrap_or_default();
    let has_no_body = request.protocol == Protocol::Http1 && (status == b"204" || status == b"304");
    let body = if has_no_body { &[][..] } else { body };
    let has_length = finished.get(b"content-length").is_some();
    let silent = request.method == "HEAD" || status == b"204" || status == b"304";
    if request.protocol == Protocol::Http1 && ends_with_headers && !has_length && !silent {
        headers.push((b"content-length".into(), b"0".into()));
    }
    Received {
        trailers: sent_trailers(&headers, trailers, request.protocol),
        headers,
        body: body.to_vec(),
        complete,
        cluster: String::new(),
    }
}

/// The local reply when the upstream's connection ends before a response.
pub(crate) fn upstream_reset() -> LocalReply {
    plain(
        503,
        "upstream_reset_before_response_started{connection_termination}",
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    )
}

/// The local reply when the upstream breaks the rules of its protocol.
pub(crate) fn upstream_protocol_error() -> LocalReply {
    plain(
        502,
        "upstream_reset_before_response_started{protocol_error}",
        "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
    )
}

/// The local reply when the upstream resets the stream.
pub(crate) fn upstream_remote_reset() -> LocalReply {
    plain(
        503,
        "upstream_reset_before_response_started{remote_reset}",
        "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
    )
}

/// The local reply when no route matches.
pub(crate) fn no_route() -> LocalReply {
    plain(404, "route_not_found", "")
}

/// The local reply when the router does not send a request.
pub(crate) fn refused(why: Vec<u8>) -> LocalReply {
    LocalReply { details: valid::details(&why), body: why, ..plain(503, "", "") }
}

/// The local reply when more of a request would be buffered than the limit allows.
pub(crate) fn payload_too_large() -> LocalReply {
    plain(413, "request_payload_too_large", "Payload Too Large")
}

/// The local reply when the module's VM has failed.
pub(crate) fn failed() -> LocalReply {
    plain(503, "wasm_fail_stream", "")
}

fn plain(status: u32, details: &str, body: &str) -> LocalReply {
    LocalReply { status, details: details.into(), body: body.into(), headers: Fields::new(), grpc_status: -1 }
}

/// A local reply as Envoy makes it for this request: to a gRPC request it is a gRPC error, and
/// without a body it has no `content-type`.
pub(crate) fn local_reply(reply: &LocalReply, request: &Request) -> LocalReply {
    let grpc = request.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"content-type")
            && (value == b"application/grpc" || value.starts_with(b"application/grpc+"))
    });
    let is_kept = |(name, _): &&(Vec<u8>, Vec<u8>)| !name.eq_ignore_ascii_case(b"content-type");
    if !grpc {
        let mut reply = reply.clone();
        if reply.body.is_empty() {
            reply.headers = reply.headers.iter().filter(is_kept).cloned().collect();
        }
        return reply;
    }
    let status = match reply.grpc_status {
        status @ 0..=16 => i64::from(status),
        _ => grpc_status(reply.status),
    };
    let mut headers: Fields = reply.headers.iter().filter(is_kept).cloned().collect();
    headers.push((b"content-type".into(), b"application/grpc".into()));
    headers.push((b"grpc-status".into(), status.to_string().into_bytes()));
    if !reply.body.is_empty() {
        headers.push((b"grpc-message".into(), percent_encode(&reply.body)));
    }
    LocalReply {
        status: 200,
        details: reply.details.clone(),
        body: Vec::new(),
        headers,
        grpc_status: reply.grpc_status,
    }
}

/// Encodes a gRPC message for a header.
fn percent_encode(message: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for byte in message {
        match byte {
            b' '..=b'~' if *byte != b'%' => encoded.push(*byte),
            _ => encoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    encoded
}
