//! Requests over HTTP/1.1.

use super::decoded::{Decoded, Head, MAX_BYTES, MAX_FIELDS, Malformed, codec_error};
use super::syntax::{block, elements, is_authority, is_control, is_length, parse};
use crate::embedded::fields::{Kind, Map};
use crate::embedded::wire;
use crate::message::{Body, Fields, Request};
use crate::not_played::NotPlayed;

/// The methods that Envoy's parser knows.
const METHODS: &str = " GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK \
    BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE MKCALENDAR LINK UNLINK SOURCE QUERY ";
/// The most fields that `connection` may name.
const MAX_NOMINATED: usize = 10;

/// Decodes a request.
pub(super) fn decode(request: &Request) -> Decoded {
    match head(request) {
        Ok(head) => Decoded::Request(Box::new(head)),
        Err((status, details)) => codec_error(status, details),
    }
}

type Error = (u32, &'static str);

const fn bad(details: &'static str) -> Error {
    (400, details)
}

fn head(request: &Request) -> Result<Head, Error> {
    let (authority, target) = target(request)?;
    let fields = parse(&block(&sent(request))).map_err(bad)?;
    if fields.len() > MAX_FIELDS {
        return Err((431, "http1.too_many_headers"));
    }
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size + request.path.len() > MAX_BYTES {
        return Err((431, "http1.headers_too_large"));
    }
    let lengths: Vec<_> = fields.iter().filter(|(name, _)| name == b"content-length").collect();
    if lengths.len() > 1 || lengths.iter().any(|(_, value)| !is_length(value)) {
        return Err(bad("http1.codec_error"));
    }
    let codings: Vec<_> = fields.iter().filter(|(name, _)| name == b"transfer-encoding").collect();
    let mut map = Map::from_fields(Kind::Request, &fields);
    let closes = closes(&map);
    connection(&mut map)?;
    coding(&codings, &lengths)?;
    if let Some(authority) = authority {
        map.replace(b":authority", authority);
    }
    if map.get(b":authority").is_some_and(|authority| !is_authority(authority)) {
        return Err(bad("http.invalid_authority"));
    }
    for (name, value) in &target {
        map.add(name.as_bytes(), value);
    }
    map.add(b":method", request.method.as_bytes());
    let end = request.method != "CONNECT" && wire::ends_with_headers(&request.body, &request.trailers);
    let broken = trailers_error(&request.trailers).map(Malformed::Trailers);
    Ok(Head { map, end, broken, tunnel: false, closes })
}

/// Whether the request announces another body than it has. That is of no matter if it is refused.
pub(super) fn not_played(request: &Request) -> Option<NotPlayed> {
    let sent = sent(request);
    let head = head(request).ok()?;
    let body = request.body.bytes();
    let is_chunked = matches!(request.body, Body::Chunked(_)) || !request.trailers.is_empty();
    let of_test = |name: &str| {
        sent.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value.trim_ascii())
    };
    let announced = match (of_test("transfer-encoding"), of_test("content-length")) {
        (Some(_), _) if !is_chunked => "chunked".to_owned(),
        (None, Some(length)) => {
            let length = String::from_utf8_lossy(length).into_owned();
            if length.parse() == Ok(body.len()) {
                return None;
            }
            format!("content-length: {length}")
        }
        _ => return None,
    };
    let reaches_filters = head.map.get(b":authority").is_some() && !request.is_tunnel();
    reaches_filters.then_some(NotPlayed::RequestFraming { announced, sent: body.len() })
}

/// The fields as the client sends them, with the ones that frame the body.
fn sent(request: &Request) -> Fields {
    let host = request.authority.iter().map(|authority| (b"host".to_vec(), authority.as_bytes().to_vec()));
    let mut fields: Fields = host.chain(request.headers.iter().cloned()).collect();
    let told = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    let framing = match &request.body {
        _ if request.is_tunnel() => None,
        _ if !request.trailers.is_empty() => Some(("transfer-encoding", "chunked".to_owned())),
        _ if told => None,
        Body::Chunked(_) => Some(("transfer-encoding", "chunked".to_owned())),
        Body::Sized(bytes) => Some(("content-length", bytes.len().to_string())),
        Body::Absent => None,
    };
    fields.extend(framing.map(|(name, value)| (name.into(), value.into_bytes())));
    fields
}

/// Whether the client requests that the connection is closed.
fn closes(map: &Map) -> bool {
    [&b"connection"[..], b"proxy-connection"].iter().any(|name| {
        let lists = map.fields().iter().filter(|(found, _)| found == name);
        lists.flat_map(|(_, list)| elements(list)).any(|element| element.eq_ignore_ascii_case(b"close"))
    })
}

/// Takes out the fields that `connection` names.
fn connection(map: &mut Map) -> Result<(), Error> {
    let lists = map.fields().iter().filter(|(name, _)| name == b"connection");
    let named: Vec<Vec<u8>> = lists.flat_map(|(_, list)| elements(list)).map(<[u8]>::to_ascii_lowercase).collect();
    if named.is_empty() {
        return Ok(());
    }
    let upgrades = named.iter().any(|name| name == b"upgrade") && map.get(b"upgrade").is_some();
    if upgrades {
        if map.get(b"upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"h2c")) {
            for name in [&b"upgrade"[..], b"http2-settings", b"connection"] {
                map.remove(name);
            }
        }
        return Ok(());
    }
    let forbidden = |name: &Vec<u8>| name.starts_with(b":") || name.starts_with(b"x-forwarded-");
    if named.len() > MAX_NOMINATED || named.iter().any(forbidden) {
        return Err(bad("http1.connection_header_rejected"));
    }
    let (kept, removed): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
        named.into_iter().partition(|name| [&b"close"[..], b"keep-alive", b"te"].contains(&name.as_slice()));
    for name in &removed {
        map.remove(name);
    }
    if kept.is_empty() {
        map.remove(b"connection");
    } else if !removed.is_empty() {
        map.replace(b"connection", &kept.join(&b","[..]));
    }
    Ok(())
}

fn coding(codings: &[&(Vec<u8>, Vec<u8>)], lengths: &[&(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
    if codings.is_empty() {
        return Ok(());
    }
    if !lengths.is_empty() {
        return Err(bad("http1.content_length_and_chunked_not_allowed"));
    }
    match codings {
        [(_, coding)] if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err((501, "http1.invalid_transfer_encoding")),
    }
}

/// The authority that a target has, and what it says beside that.
type Target<'a> = (Option<&'a [u8]>, Vec<(&'static str, &'a [u8])>);

fn target(request: &Request) -> Result<Target<'_>, Error> {
    let (method, target) = (request.method.as_str(), request.path.as_bytes());
    if target.iter().chain(method.as_bytes()).any(|byte| is_control(*byte)) {
        return Err(bad("http1.invalid_characters"));
    }
    let is_known = METHODS.split_ascii_whitespace().any(|known| known == method);
    if !is_known || target.is_empty() || target.iter().any(|byte| *byte == b'\t' || *byte == b' ' || *byte >= 0x80) {
        return Err(bad("http1.codec_error"));
    }
    if method == "CONNECT" {
        if sent(request).iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length")) {
            return Err(bad("http1.body_disallowed"));
        }
        return match authority_of(target) {
            Some(authority) if authority.contains(&b':') && authority.len() == target.len() => {
                Ok((Some(authority), Vec::new()))
            }
            _ => Err(bad("http1.invalid_url")),
        };
    }
    if target.starts_with(b"/") || (target == b"*" && method == "OPTIONS") {
        return Ok((None, vec![(":path", target)]));
    }
    if target.starts_with(b"*") {
        return Err(bad("http1.invalid_url"));
    }
    let (scheme, rest) = absolute(&request.path).ok_or_else(|| bad("http1.codec_error"))?;
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => "http",
        _ if scheme.eq_ignore_ascii_case("https") => "https",
        _ => return Err(bad("http1.invalid_scheme")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority_of(authority.as_bytes()).ok_or_else(|| bad("http1.invalid_url"))?;
    let path = if path.is_empty() { "/" } else { path };
    Ok((Some(authority), vec![(":scheme", scheme.as_bytes()), (":path", path.as_bytes())]))
}

fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_scheme.then_some((scheme, rest))
}

/// The host and port of an authority, without its user.
fn authority_of(authority: &[u8]) -> Option<&[u8]> {
    let at = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let authority = authority.get(at..)?;
    let (host, port) = match authority.iter().position(|byte| *byte == b']') {
        Some(end) if authority.starts_with(b"[") => authority.split_at(end + 1),
        _ => {
            let colon = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
            authority.split_at(colon)
        }
    };
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(byte);
    let is_port = port.is_empty() || (port.len() > 1 && port.iter().skip(1).all(u8::is_ascii_digit));
    (!host.is_empty() && host.iter().all(is_host) && is_port).then_some(authority)
}

/// Why Envoy's parser does not take these trailers.
pub(super) fn trailers_error(trailers: &Fields) -> Option<&'static str> {
    let size: usize = trailers.iter().map(|(name, value)| name.len() + value.len()).sum();
    match parse(&block(trailers)) {
        Err(details) => Some(details),
        Ok(fields) if fields.len() > MAX_FIELDS => Some("http1.too_many_headers"),
        Ok(_) if size > MAX_BYTES => Some("http1.headers_too_large"),
        Ok(_) => None,
    }
}
