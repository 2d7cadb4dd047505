//! Messages on their way between client, module and upstream: what Envoy changes when it takes them from the wire or puts them there.

use super::fields::{Kind, Map};
use super::info::grpc_status;
use super::stream::LocalReply;
use super::valid;
use crate::message::{Body, Fields, Protocol, Received, Reply, Request};

/// Fields of one hop that no filter sees.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "upgrade", "te"];
/// What the date and the upstream's service time are here: a test does not depend on the clock.
const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
const SERVICE_TIME: &str = "0";
/// The status of the response to an upgrade.
pub(super) const SWITCHING_PROTOCOLS: u16 = 101;
const RESPONSE_FLAGS_TIMEOUT: &str = "15000";

fn trim(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().to_vec()
}

/// The headers of a request that the host refuses because it names none: an access logger sees them.
pub(crate) fn request_without_host(request: &Request) -> Map {
    let mut map = request_map(request, "");
    map.remove(b":authority");
    map
}

/// The request headers as the module sees them.
pub(crate) fn request_map(request: &Request, authority: &str) -> Map {
    let mut map = Map::new(Kind::Request);
    let pseudo: [(&str, &str); 4] = match request.protocol {
        Protocol::Http1 => {
            [(":authority", authority), (":path", &request.path), (":method", &request.method), (":scheme", "http")]
        }
        Protocol::Http2 => {
            [(":method", &request.method), (":path", &request.path), (":scheme", "http"), (":authority", authority)]
        }
    };
    for (name, value) in pseudo {
        map.add(name.as_bytes(), value.as_bytes());
    }
    let mut cookies = Vec::new();
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        // Envoy answers `expect` itself.
        let expects = name == b"expect" && value.eq_ignore_ascii_case(b"100-continue");
        let tells_of_trailers = request.protocol == Protocol::Http2 && name == b"te" && value == b"trailers";
        let of_upgrade = request.is_upgrade() && (name == b"upgrade" || name == b"connection");
        let of_hop = hop_by_hop(&name) || name == b"connection" || name == b"transfer-encoding";
        if (of_hop && !tells_of_trailers && !of_upgrade) || expects {
            continue;
        }
        if name == b"cookie" && request.protocol == Protocol::Http2 {
            cookies.push(trim(value));
        } else {
            map.add(&name, &trim(value));
        }
    }
    if let Body::Sized(bytes) = &request.body {
        map.add_if_missing("content-length", &bytes.len().to_string());
    }
    if !cookies.is_empty() {
        map.add(b"cookie", &cookies.join(&b"; "[..]));
    }
    map.add_if_missing("x-forwarded-proto", "http");
    map
}

fn hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|field| field.as_bytes() == name)
}

/// The pieces of a body as the host delivers them, each with whether it ends the message.
pub(crate) fn pieces(body: &Body, trailers: bool, protocol: Protocol) -> Vec<(Vec<u8>, bool)> {
    let chunks = match body {
        Body::Absent => return Vec::new(),
        Body::Sized(bytes) => vec![bytes.clone()],
        Body::Chunked(chunks) => chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect(),
    };
    let mut pieces: Vec<_> = chunks.into_iter().map(|chunk| (chunk, false)).collect();
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
    routed.overwrite(b"x-envoy-expected-rq-timeout-ms", RESPONSE_FLAGS_TIMEOUT.as_bytes());
    routed
}

/// The request as the upstream receives it.
pub(crate) fn upstream(
    routed: &Map,
    body: &[u8],
    trailers: Option<&Map>,
    complete: bool,
    protocol: Protocol,
) -> Received {
    let mut headers = Fields::new();
    for pseudo in [":method", ":path", ":authority"] {
        if let Some(value) = routed.get(pseudo.as_bytes()) {
            headers.push((pseudo.into(), value.to_vec()));
        }
    }
    let method = routed.get(b":method").unwrap_or_default().to_vec();
    let rest = routed.fields().iter().filter(|(name, _)| !name.starts_with(b":") && !framing(name));
    headers.extend(rest.cloned());
    let bodiless = body.is_empty() && trailers.is_none() && complete;
    let announces = ![&b"GET"[..], b"HEAD", b"DELETE", b"TRACE", b"CONNECT"].contains(&method.as_slice());
    if protocol == Protocol::Http1 && bodiless && announces && routed.get(b"content-length").is_none() {
        headers.push((b"content-length".into(), b"0".into()));
    }
    Received {
        headers,
        body: body.to_vec(),
        trailers: trailers.map(|map| map.fields().clone()).unwrap_or_default(),
        complete,
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

/// The response headers with what Envoy adds last.
pub(crate) fn finished(map: &Map) -> Map {
    let mut finished = map.clone();
    finished.remove(b"connection");
    finished.remove(b"transfer-encoding");
    finished.add_if_missing("date", DATE);
    finished.replace(b"server", b"envoy");
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
    let mut headers = finished.fields().clone();
    let status = finished.get(b":status").unwrap_or_default();
    let has_length = finished.get(b"content-length").is_some();
    let silent = request.method == "HEAD" || status == b"204" || status == b"304";
    if request.protocol == Protocol::Http1 && ends_with_headers && !has_length && !silent {
        headers.push((b"content-length".into(), b"0".into()));
    }
    Received {
        headers,
        body: body.to_vec(),
        trailers: trailers.map(|map| map.fields().clone()).unwrap_or_default(),
        complete,
    }
}

/// What Envoy answers when the upstream's connection ends before a response.
pub(crate) fn upstream_reset() -> LocalReply {
    plain(
        503,
        "upstream_reset_before_response_started{connection_termination}",
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    )
}

/// What Envoy answers when no route matches.
pub(crate) fn no_route() -> LocalReply {
    plain(404, "route_not_found", "")
}

/// What Envoy answers when the router does not send a request.
pub(crate) fn refused(why: Vec<u8>) -> LocalReply {
    LocalReply { details: valid::details(&why), body: why, ..plain(503, "", "") }
}

/// What Envoy answers when more of a request is to be buffered than it may.
pub(crate) fn payload_too_large() -> LocalReply {
    plain(413, "request_payload_too_large", "Payload Too Large")
}

/// What Envoy answers when the module's VM has failed.
pub(crate) fn failed() -> LocalReply {
    plain(503, "wasm_fail_stream", "")
}

/// What Envoy answers to a request without a host, before its filters run.
pub(crate) fn no_host() -> LocalReply {
    plain(400, "missing_host_header", "")
}

fn plain(status: u32, details: &str, body: &str) -> LocalReply {
    LocalReply { status, details: details.into(), body: body.into(), headers: Fields::new(), grpc_status: -1 }
}

/// A local reply to a gRPC request is a gRPC error.
pub(crate) fn as_grpc(reply: &LocalReply, request: &Request) -> LocalReply {
    let grpc = request.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"content-type")
            && (value == b"application/grpc" || value.starts_with(b"application/grpc+"))
    });
    if !grpc {
        return reply.clone();
    }
    let status = match reply.grpc_status {
        status @ 0..=16 => i64::from(status),
        _ => grpc_status(reply.status),
    };
    let mut headers: Fields =
        reply.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-type")).cloned().collect();
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
