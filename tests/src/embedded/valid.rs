//! What Envoy refuses to send, and what it sends although no receiver should take it.

use super::fields::Map;
use crate::message::{Protocol, Request};

/// Why Envoy's router does not send a request with these headers: the text that the client, or the
/// module that made the call, gets. Measured on Envoy 1.40 with every byte.
pub(super) fn refusal(map: &Map) -> Option<Vec<u8>> {
    let missing = match map.get(b":method") {
        None => Some(":method"),
        Some(b"CONNECT") if map.get(b":path").is_some() && map.get(b":protocol").is_none() => Some(":protocol"),
        Some(_) => None,
    };
    if let Some(missing) = missing {
        return Some(format!("missing required header: {missing}").into_bytes());
    }
    map.fields().iter().filter(|(name, _)| !name.is_empty()).find_map(|(name, value)| {
        if !name.starts_with(b":") && !is_token(name) {
            return Some([&b"invalid header name: "[..], &escape(name)].concat());
        }
        has_control(value).then(|| [&b"invalid header value for: "[..], &escape(name)].concat())
    })
}

/// The details that access logs have for such a refusal.
pub(super) fn details(refusal: &[u8]) -> Vec<u8> {
    let why: Vec<u8> = refusal.iter().map(|byte| if *byte == b' ' { b'_' } else { *byte }).collect();
    [b"filter_removed_required_request_headers{", &why[..], b"}"].concat()
}

/// Whether the request line would be read in another way than it was meant. Envoy writes it as it
/// is.
pub(super) fn is_line_misread(map: &Map) -> bool {
    let path = map.get(b":path").unwrap_or(b"/");
    !map.get(b":method").is_some_and(is_token)
        || path.is_empty()
        || path.iter().any(|byte| *byte <= b' ' || *byte >= 0x7f)
}

/// What is wrong with the line of a request over HTTP/1.
pub(super) fn misread_line(map: &Map, request: &Request) -> Option<String> {
    let part = |name: &[u8]| map.get(name).unwrap_or_default().escape_ascii().to_string();
    (request.protocol == Protocol::Http1 && is_line_misread(map)).then(|| {
        let line = format!("{} {}", part(b":method"), part(b":path"));
        format!("the request line begins with `{line}`, which the upstream would read in another way than it was meant")
    })
}

/// What is wrong with a field of a request that frames it, or names its hop, and that no client has
/// sent so.
pub(super) fn framing_field(map: &Map, request: &Request) -> Option<String> {
    let over_http2 = request.protocol == Protocol::Http2;
    let is_odd = |name: &[u8]| match name {
        b"transfer-encoding" => true,
        b"upgrade" => !request.is_upgrade(),
        b"connection" | b"keep-alive" | b"proxy-connection" => over_http2,
        _ => false,
    };
    let (name, value) = map.fields().iter().find(|(name, _)| is_odd(name))?;
    Some(format!(
        "the request would have the field `{}: {}`, which frames a message or switches its protocol: Envoy writes it \
         as it is, and the upstream waits for what does not come",
        name.escape_ascii(),
        value.escape_ascii()
    ))
}

/// What is wrong with fields of a response or with trailers: Envoy writes them as they are, and a
/// receiver takes them for others, or refuses the whole message.
pub(super) fn odd_fields(message: &str, map: &Map) -> Option<String> {
    let is_odd = |name: &[u8], value: &[u8]| !is_token(name) || has_control(value);
    let mut fields = map.fields().iter();
    let (name, value) = fields.find(|(name, value)| !name.starts_with(b":") && is_odd(name, value))?;
    Some(format!(
        "the {message} would have the field `{}: {}`, which is not valid HTTP: Envoy writes it as it is",
        name.escape_ascii(),
        value.escape_ascii()
    ))
}

/// What is wrong with the status of a response. Envoy sends any number.
pub(super) fn odd_status(status: u32, request: &Request) -> Option<String> {
    let upgrades = status == 101 && request.is_upgrade();
    let is_odd = !(200..=999).contains(&status) && !upgrades;
    is_odd.then(|| {
        format!(
            "the response would have the status {status}, which is none of a final response (200 to 999): Envoy \
             writes it as it is"
        )
    })
}

/// What is wrong with a `content-length` that is not the body's: Envoy never corrects it, and a
/// wrong one breaks the framing.
pub(super) fn wrong_length(message: &str, headers: &Map, body: &[u8]) -> Option<String> {
    let announced = headers.get(b"content-length")?;
    let length = std::str::from_utf8(announced).ok().and_then(|length| length.parse().ok());
    (length != Some(body.len())).then(|| {
        format!(
            "the {message}'s content-length is {}, but its body has {} bytes: the next message on the connection \
             would be misread",
            String::from_utf8_lossy(announced),
            body.len()
        )
    })
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn has_control(value: &[u8]) -> bool {
    value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
}

/// The name as Envoy writes it into its texts: as in JSON, other bytes as they are.
fn escape(name: &[u8]) -> Vec<u8> {
    let escape_one = |byte: &u8| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        8 => b"\\b".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\n' => b"\\n".to_vec(),
        12 => b"\\f".to_vec(),
        b'\r' => b"\\r".to_vec(),
        0..=0x1f => format!("\\u{byte:04x}").into_bytes(),
        _ => vec![*byte],
    };
    name.iter().flat_map(escape_one).collect()
}
