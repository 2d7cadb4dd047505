//! Headers of hyper as fields of a filter, and back.

use bytes::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE};
use hyper::http::uri::Scheme;
use hyper::http::{request, response};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use proxy_filter_host::Fields;

/// The fields that concern one connection, which hyper writes itself.
const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

fn copy<'a>(fields: &mut Fields, map: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>, upgrade: bool) {
    for (name, value) in map {
        if HOP_BY_HOP.contains(&name.as_str()) && !(upgrade && (name == CONNECTION || name == UPGRADE)) {
            continue;
        }
        fields.push((name.as_str().into(), value.as_bytes().to_vec()));
    }
}

/// Whether a request asks for another protocol on its connection.
pub(super) fn is_upgrade(parts: &request::Parts) -> bool {
    parts.version == Version::HTTP_11 && parts.headers.contains_key(UPGRADE)
}

/// The fields of a request, as filters see them.
pub(super) fn of_request(parts: &request::Parts, scheme: &Scheme, id: u64) -> Fields {
    let scheme = scheme.as_str();
    let host = parts.headers.get(HOST).map(|host| host.as_bytes().to_vec());
    let authority = parts.uri.authority().map(|authority| authority.as_str().into()).or(host).unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut fields: Fields = vec![
        (b":authority".to_vec(), authority),
        (b":path".to_vec(), path.into()),
        (b":method".to_vec(), parts.method.as_str().into()),
        (b":scheme".to_vec(), scheme.into()),
    ];
    // What a client says about the protocol is not to be trusted.
    let others = parts.headers.iter().filter(|(name, _)| *name != HOST && *name != "x-forwarded-proto");
    copy(&mut fields, others, is_upgrade(parts));
    fields.push((b"x-forwarded-proto".to_vec(), scheme.into()));
    if !parts.headers.contains_key("x-request-id") {
        fields.push((b"x-request-id".to_vec(), format!("{:08x}-0000-4000-8000-{id:012x}", std::process::id()).into()));
    }
    fields
}

/// The fields of a response, as filters see them.
pub(super) fn of_response(parts: &response::Parts) -> Fields {
    let mut fields: Fields = vec![(b":status".to_vec(), parts.status.as_str().into())];
    copy(&mut fields, &parts.headers, parts.status == StatusCode::SWITCHING_PROTOCOLS);
    fields
}

/// The fields of trailers.
pub(super) fn of_trailers(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    copy(&mut fields, map, false);
    fields
}

/// Adds the fields that HTTP can carry, without pseudo-headers.
pub(super) fn append(map: &mut HeaderMap, fields: Fields) {
    map.reserve(fields.len());
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(Bytes::from(value)))
        {
            map.append(name, value);
        }
    }
}

/// The value of a field, as text.
pub(super) fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(found, _)| found == name.as_bytes())?;
    std::str::from_utf8(value).ok()
}

/// A request to a server at this address.
///
/// # Errors
/// The fields are no request, with what is wrong.
pub(super) fn to_request<B>(
    fields: Fields,
    (scheme, authority): (&Scheme, &str),
    upgrade: bool,
    body: B,
) -> Result<Request<B>, String> {
    let path = get(&fields, ":path").unwrap_or("/");
    let uri = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path).build();
    let uri = uri.map_err(|error| format!("the path `{path}`: {error}"))?;
    let method = get(&fields, ":method").unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| format!("the method `{method}`: {error}"))?;
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let host = get(&fields, ":authority").and_then(|host| HeaderValue::from_str(host).ok());
    let headers = request.headers_mut();
    append(headers, fields);
    clean(headers, upgrade);
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
    Ok(request)
}

/// A response to a client.
pub(super) fn to_response<B>(fields: Fields, body: B) -> Response<B> {
    let status = get(&fields, ":status").and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
    let mut response = Response::new(body);
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    append(response.headers_mut(), fields);
    let upgrade = status == Some(StatusCode::SWITCHING_PROTOCOLS);
    clean(response.headers_mut(), upgrade);
    response
}

fn clean(headers: &mut HeaderMap, upgrade: bool) {
    for name in HOP_BY_HOP {
        if !(upgrade && (name == "connection" || name == "upgrade")) {
            headers.remove(name);
        }
    }
}
