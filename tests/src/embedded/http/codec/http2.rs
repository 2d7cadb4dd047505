//! Requests over HTTP/2.

use super::decoded::{Decoded, Head, MAX_BYTES, MAX_FIELD_OVER_HTTP2 as MAX_FIELD, MAX_FIELDS, Malformed};
use super::syntax::{is_authority, is_control, is_length, is_token};
use crate::embedded::fields::{Kind, Map};
use crate::embedded::wire;
use crate::message::{Body, Fields, Request};

/// Fields that HTTP/2 does not have.
const OF_CONNECTIONS: [&[u8]; 5] =
    [b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"transfer-encoding"];
const BAD_FIELD: &str = "http2.invalid.header.field";
const TOO_LARGE: &str = "codec_error:The_user_callback_function_failed";
const BAD_LENGTH: &str = "http2.remote_reset";

/// Decodes a request.
pub(super) fn decode(request: &Request) -> Decoded {
    head(request).map_or(Decoded::Reset, |head| Decoded::Request(Box::new(head)))
}

fn head(request: &Request) -> Option<Head> {
    let path = request.path.as_bytes();
    let is_path = path.starts_with(b"/") || (path == b"*" && request.method == "OPTIONS");
    let is_clean = !path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
    if !is_token(request.method.as_bytes()) || !(is_path || request.is_connect()) || !is_clean {
        return None;
    }
    let mut authority = request.authority.as_ref().map(|authority| authority.as_bytes().to_vec());
    let mut map = Map::new(Kind::Request);
    map.add(b":method", request.method.as_bytes());
    if !request.is_connect() {
        map.add(b":path", path);
        map.add(b":scheme", request.scheme().as_bytes());
    }
    if authority.as_ref().is_some_and(|authority| !is_host(authority)) || path.len() > MAX_FIELD {
        return None;
    }
    if let Some(authority) = &authority {
        map.add(b":authority", authority);
    }
    let (mut length, mut cookies, mut has_host) = (None, None::<Vec<u8>>, false);
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        if !is_field(&name, value) || (name == b"content-length" && length.is_some()) {
            return None;
        }
        match name.as_slice() {
            b"host" if !is_host(value) || has_host => return None,
            b"host" if authority.is_some() => has_host = true,
            b"host" => {
                has_host = true;
                map.add(b":authority", value);
                authority = Some(value.clone());
            }
            b"cookie" => match &mut cookies {
                Some(joined) if joined.is_empty() => joined.clone_from(value),
                Some(joined) => joined.extend([b"; ", value.as_slice()].concat()),
                None => cookies = Some(value.clone()),
            },
            _ => {
                if name == b"content-length" {
                    length = std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
                }
                map.add(&name, value);
            }
        }
    }
    if let (Body::Sized(bytes), None) = (&request.body, length) {
        map.add(b"content-length", bytes.len().to_string().as_bytes());
    }
    if let Some(cookies) = cookies.filter(|cookies| !cookies.is_empty()) {
        map.add(b"cookie", &cookies);
    }
    if authority.is_none() || request.headers.len() + 4 > MAX_FIELDS || map.byte_size() as usize > MAX_BYTES {
        return None;
    }
    let end = ends(&request.body, &request.trailers);
    if end && length.is_some_and(|length| length > 0) {
        return None;
    }
    let broken = length.and_then(|length| data_error(&request.body, length));
    let broken = broken.or_else(|| trailers_error(&request.trailers).map(Malformed::Trailers));
    Some(Head { map, end, broken, tunnel: false, closes: false })
}

fn ends(body: &Body, trailers: &Fields) -> bool {
    wire::ends_with_headers(body, trailers)
}

fn is_host(text: &[u8]) -> bool {
    !text.is_empty() && is_authority(text) && !text.contains(&b'@')
}

fn is_field(name: &[u8], value: &[u8]) -> bool {
    is_token(name)
        && name.len() + value.len() <= MAX_FIELD
        && !value.iter().any(|byte| is_control(*byte))
        && !OF_CONNECTIONS.contains(&name)
        && (name != b"te" || value.eq_ignore_ascii_case(b"trailers"))
        && (name != b"content-length" || is_length(value))
}

/// The first part of the body that does not agree with its length.
fn data_error(body: &Body, length: u64) -> Option<Malformed> {
    let chunks = match body {
        Body::Absent => return None,
        Body::Sized(bytes) => std::slice::from_ref(bytes),
        Body::Chunked(chunks) => chunks.as_slice(),
    };
    let mut sum = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        sum += chunk.len() as u64;
        if sum > length {
            return Some(Malformed::Data(index, BAD_LENGTH));
        }
    }
    (sum < length).then_some(Malformed::Data(chunks.len().saturating_sub(1), BAD_LENGTH))
}

/// Why the codec does not take these trailers.
pub(super) fn trailers_error(trailers: &Fields) -> Option<&'static str> {
    let is_bad = |(name, value): &(Vec<u8>, Vec<u8>)| !is_field(&name.to_ascii_lowercase(), value);
    if trailers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length")) {
        return Some("http2.violation.of.messaging.rule");
    }
    let is_large = |(name, value): &(Vec<u8>, Vec<u8>)| name.len() + value.len() > MAX_FIELD;
    if trailers.iter().any(is_large) {
        return Some(TOO_LARGE);
    }
    if trailers.iter().any(is_bad) {
        return Some(BAD_FIELD);
    }
    let size: usize = trailers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (trailers.len() > MAX_FIELDS || size > MAX_BYTES).then_some("http2.too_many_headers")
}
