//! Responses of upstreams.

use super::decoded::{MAX_BYTES, MAX_FIELD_OVER_HTTP2, MAX_FIELDS};
use super::syntax::{block, is_control, is_length, is_token, parse};
use super::{http1, http2};
use crate::embedded::fields::{Kind, Map};
use crate::message::{Body, Fields, Protocol, Reply, Request};

/// A response as the filter that is nearest to the upstream sees it.
pub(in crate::embedded) struct Response {
    pub(in crate::embedded) map: Map,
    /// The message ends with its headers.
    pub(in crate::embedded) end: bool,
    pub(in crate::embedded) body: Body,
    pub(in crate::embedded) trailers: Fields,
    pub(in crate::embedded) broken: Option<Broken>,
}

/// Where a response breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Broken {
    /// After so many chunks.
    Data(usize),
    /// After its body.
    Trailers,
    /// After its body: there are too many trailers.
    TooManyTrailers,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Unfit {
    /// It breaks the rules of its protocol.
    Malformed,
    /// It has too many fields for HTTP/2.
    TooMany,
}

/// Decodes a response.
pub(in crate::embedded) fn decode(reply: &Reply, request: &Request, is_head: bool) -> Result<Response, Unfit> {
    let protocol = request.protocol;
    let is_too_much =
        protocol == Protocol::Http2 && reply.headers.len() + 1 + usize::from(is_sized(reply)) > MAX_FIELDS;
    let decoded = decode_fields(reply, request, is_head).ok_or(Unfit::Malformed);
    if is_too_much { Err(Unfit::TooMany) } else { decoded }
}

/// Whether the test gives no length, so that the host determines it.
fn is_sized(reply: &Reply) -> bool {
    let told = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    matches!(reply.body, Body::Sized(_)) && !told
}

fn decode_fields(reply: &Reply, request: &Request, is_head: bool) -> Option<Response> {
    let (protocol, tunnels) = (request.protocol, request.is_tunneled_by(reply.status));
    let bodiless = is_head || matches!(reply.status, 204 | 304);
    let fields = match protocol {
        Protocol::Http1 => over_http1(reply, bodiless, tunnels)?,
        Protocol::Http2 => over_http2(reply, is_head)?,
    };
    if fields.len() > MAX_FIELDS
        || fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_BYTES
    {
        return None;
    }
    let lengths: Vec<_> = fields.iter().filter(|(name, _)| name == b"content-length").collect();
    let length = match lengths.as_slice() {
        [] => None,
        [(_, value)] if is_length(value) => std::str::from_utf8(value).ok()?.parse::<u64>().ok(),
        _ => return None,
    };
    let mut map = Map::new(Kind::Response);
    map.add(b":status", reply.status.to_string().as_bytes());
    for (name, value) in fields.iter().filter(|(name, _)| name != b"keep-alive") {
        map.add(name, value);
    }
    if reply.status == 204 {
        if protocol == Protocol::Http1 && length.is_some_and(|length| length > 0) {
            return None;
        }
        if length == Some(0) {
            map.remove(b"content-length");
        }
    }
    let over_http2 = protocol == Protocol::Http2;
    let trailers = if bodiless && !over_http2 { Fields::new() } else { reply.trailers.clone() };
    let body = match (&reply.body, length) {
        _ if bodiless => Body::Absent,
        // The rest belongs to no message.
        (Body::Sized(bytes), Some(length)) if !over_http2 && trailers.is_empty() => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Body::Sized(bytes.get(..length).unwrap_or(bytes).to_vec())
        }
        (body, _) => body.clone(),
    };
    let is_empty = crate::embedded::wire::ends_with_headers(&reply.body, &reply.trailers) && !reply.cut_off;
    if over_http2 && !is_head && is_empty && reply.status != 304 && length.is_some_and(|length| length > 0) {
        return None;
    }
    let broken = match length {
        _ if over_http2 && !is_head && bodiless && !reply.body.bytes().is_empty() => Some(Broken::Data(0)),
        Some(length) if !(bodiless || reply.cut_off && over_http2) => broken(&body, length, over_http2),
        _ => None,
    };
    let broken = broken.or_else(|| {
        let error = match protocol {
            Protocol::Http1 => http1::trailers_error(&trailers),
            Protocol::Http2 => http2::trailers_error(&trailers),
        };
        error.map(|details| match details {
            "http2.too_many_headers" => Broken::TooManyTrailers,
            _ => Broken::Trailers,
        })
    });
    let ends = crate::embedded::wire::ends_with_headers(&body, &trailers);
    let end = ends && !reply.cut_off && broken.is_none() && !tunnels;
    let end = end || bodiless && trailers.is_empty() && broken.is_none();
    Some(Response { map, end, body, trailers, broken })
}

/// Where the body does not agree with its length.
fn broken(body: &Body, length: u64, over_http2: bool) -> Option<Broken> {
    let chunks = match body {
        Body::Absent => return (length > 0).then_some(Broken::Data(0)),
        Body::Sized(bytes) => std::slice::from_ref(bytes),
        Body::Chunked(chunks) => chunks.as_slice(),
    };
    let mut sum = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        sum += chunk.len() as u64;
        if sum > length {
            return over_http2.then_some(Broken::Data(index));
        }
    }
    // Over HTTP/2 the chunk that ends the message is not delivered.
    let delivered = if over_http2 { chunks.len().saturating_sub(1) } else { chunks.len() };
    (sum < length).then_some(Broken::Data(delivered))
}

/// The fields as they come over HTTP/1, with the ones that frame the body.
fn over_http1(reply: &Reply, bodiless: bool, tunnels: bool) -> Option<Fields> {
    let mut fields = reply.headers.clone();
    let told = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    let more = usize::from(reply.cut_off);
    let framing = match &reply.body {
        _ if tunnels => None,
        _ if !reply.trailers.is_empty() => Some(("transfer-encoding", "chunked".to_owned())),
        _ if told => None,
        Body::Chunked(_) => Some(("transfer-encoding", "chunked".to_owned())),
        Body::Sized(bytes) => Some(("content-length", (bytes.len() + more).to_string())),
        Body::Absent if bodiless && !reply.cut_off => None,
        Body::Absent => Some(("content-length", more.to_string())),
    };
    fields.extend(framing.map(|(name, value)| (name.into(), value.into_bytes())));
    let fields: Fields = parse(&block(&fields)).ok()?;
    let codings: Vec<_> = fields.iter().filter(|(name, _)| name == b"transfer-encoding").collect();
    let has_length = fields.iter().any(|(name, _)| name == b"content-length");
    let is_framed = match codings.as_slice() {
        [] => true,
        [(_, coding)] => coding.eq_ignore_ascii_case(b"chunked") && !has_length && reply.status != 204,
        _ => false,
    };
    (is_framed && reply.status >= 100).then_some(fields)
}

/// The fields as they come over HTTP/2.
fn over_http2(reply: &Reply, is_head: bool) -> Option<Fields> {
    const OF_CONNECTIONS: [&[u8]; 5] =
        [b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"transfer-encoding"];
    let mut fields = Fields::new();
    for (name, value) in &reply.headers {
        let name = name.to_ascii_lowercase();
        let is_te = name == b"te" && !value.eq_ignore_ascii_case(b"trailers");
        if !is_token(&name)
            || value.iter().any(|byte| is_control(*byte))
            || OF_CONNECTIONS.contains(&name.as_slice())
            || is_te
        {
            return None;
        }
        if name.len() + value.len() > MAX_FIELD_OVER_HTTP2 {
            return None;
        }
        fields.push((name, value.clone()));
    }
    let told = fields.iter().any(|(name, _)| name == b"content-length");
    if let (Body::Sized(bytes), false) = (&reply.body, told) {
        let length = bytes.len() + usize::from(reply.cut_off && !is_head);
        fields.push((b"content-length".to_vec(), length.to_string().into_bytes()));
    }
    (reply.status >= 200).then_some(fields)
}
