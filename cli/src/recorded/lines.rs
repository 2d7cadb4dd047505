//! Requests as JSON objects: those of this command, access logs of Envoy with JSON, and messages
//! that Envoy's tap filter writes.

use super::message::{Message, decode};
use super::notes::Notes;
use crate::script::{Answer, Play};
use serde_json::{Map, Value};

/// The names of a part of a request: those of this command, and those in the access logs of Envoy,
/// Istio and Envoy Gateway.
const METHOD: [&str; 4] = ["method", ":method", "request_method", "req_method"];
const PATH: [&str; 8] =
    ["url", "path", ":path", "uri", "request_uri", "x-envoy-origin-path", "original_path", "req_path"];
const AUTHORITY: [&str; 4] = ["authority", ":authority", "host", "req_authority"];
const PROTOCOL: [&str; 2] = ["protocol", "http_version"];
const STATUS: [&str; 3] = ["response_code", "status", ":status"];
/// Keys of access logs that are headers of the request.
const HEADERS: [(&str, &str); 11] = [
    ("user_agent", "user-agent"),
    ("user-agent", "user-agent"),
    ("x_forwarded_for", "x-forwarded-for"),
    ("x-forwarded-for", "x-forwarded-for"),
    ("x_forwarded_proto", "x-forwarded-proto"),
    ("x-forwarded-proto", "x-forwarded-proto"),
    ("request_id", "x-request-id"),
    ("x-request-id", "x-request-id"),
    ("referer", "referer"),
    ("content_type", "content-type"),
    ("authorization", "authorization"),
];
const NO_PATH: &str = "left out: it has neither a path nor a url";
/// Keys of access logs with the number of bytes of a body that is not recorded.
const SIZES: [(&str, &str); 2] = [("bytes_received", "request"), ("bytes_sent", "response")];

/// Makes an exchange of an object; `None` if it is left out, which the notes say.
///
/// # Errors
/// A value has the wrong type.
pub(super) fn play(number: usize, value: Value, notes: &mut Notes) -> Result<Option<Play>, String> {
    let mut note = |statement: String| notes.add(number, statement);
    let Value::Object(mut object) = value else {
        note("left out: it is no JSON object".into());
        return Ok(None);
    };
    let made = match object.remove("http_buffered_trace") {
        Some(Value::Object(trace)) => tap(trace, &mut note),
        _ => line(object, &mut note),
    };
    let play = made.map_err(|error| format!("line {number}: {error}"))?;
    Ok(play.map(|play| Play { name: play.name.or_else(|| Some(format!("line {number}"))), ..play }))
}

/// Makes an exchange of a request, or of a line of an access log.
fn line(mut object: Map<String, Value>, note: &mut dyn FnMut(String)) -> Result<Option<Play>, String> {
    let name = text(&mut object, &["name"])?;
    let method = text(&mut object, &METHOD)?;
    let http2 = match object.remove("http2") {
        Some(Value::Bool(http2)) => http2,
        Some(other) => return Err(format!("`http2` is {other}, expected true or false")),
        None => text(&mut object, &PROTOCOL)?.is_some_and(|version| {
            let version = version.to_ascii_lowercase();
            ["h2", "http/2", "h3", "http/3"].iter().any(|begin| version.starts_with(begin))
        }),
    };
    let mut request = message(&mut object)?;
    let Some(url) = text(&mut object, &PATH)?.or_else(|| request.get(":path").map(str::to_owned)) else {
        note(NO_PATH.into());
        return Ok(None);
    };
    if let Some(authority) = text(&mut object, &AUTHORITY)?
        && request.get(":authority").is_none()
    {
        request.fields.push((":authority".into(), authority));
    }
    for (key, header) in HEADERS {
        if let Some(value) = text(&mut object, &[key])?
            && request.get(header).is_none()
        {
            request.fields.push((header.into(), value));
        }
    }
    let status = text(&mut object, &STATUS)?.map(|status| number(&status)).transpose()?;
    for (key, whose) in SIZES {
        let size = text(&mut object, &[key])?.and_then(|size| size.parse::<u64>().ok()).unwrap_or_default();
        if size > 0 && (whose == "response" || request.body.is_none()) {
            note(format!("the body of the {whose} is not recorded"));
        }
    }
    let response = ["response", "upstream"].into_iter().find_map(|key| object.remove(key));
    for key in object.keys() {
        note(format!("the key `{key}` is no part of an exchange"));
    }
    let request = match request.request(method, &url, http2, note) {
        Ok(request) => request,
        Err(statement) => {
            note(statement);
            return Ok(None);
        }
    };
    let upstream = match (response, status) {
        (Some(Value::Object(response)), _) => Some(answer(response, &request.method, http2, note)?),
        (Some(Value::Null) | None, Some(status)) if status > 0 => {
            Some(Message::default().answer(status, &request.method, http2))
        }
        (Some(Value::Null) | None, _) => None,
        (Some(other), _) => return Err(format!("`response` is {other}, expected an object")),
    };
    Ok(Some(Play { name, request, upstream, ..Play::default() }))
}

/// Makes the upstream's response of an object.
fn answer(
    mut object: Map<String, Value>,
    method: &str,
    http2: bool,
    note: &mut dyn FnMut(String),
) -> Result<Answer, String> {
    let status = text(&mut object, &STATUS)?;
    let response = message(&mut object)?;
    for key in object.keys() {
        note(format!("the key `{key}` is no part of a response"));
    }
    let status = status.or_else(|| response.get(":status").map(str::to_owned));
    Ok(response.answer(status.map_or(Ok(200), |status| number(&status))?, method, http2))
}

/// Makes an exchange of a message of Envoy's tap filter. Source: `HttpBufferedTrace` in Envoy's
/// `data/tap/v3/http.proto`.
fn tap(mut trace: Map<String, Value>, note: &mut dyn FnMut(String)) -> Result<Option<Play>, String> {
    let mut half = |key: &str, note: &mut dyn FnMut(String)| {
        let Some(Value::Object(mut half)) = trace.remove(key) else { return Ok(None) };
        let body = half.remove("body");
        let mut message = message(&mut half)?;
        if let Some(Value::Object(body)) = body {
            if body.get("truncated").and_then(Value::as_bool) == Some(true) {
                note(format!("the body of the {key} is cut off in the recording"));
            }
            let bytes = body
                .get("as_bytes")
                .and_then(Value::as_str)
                .map(|text| decode(text).ok_or_else(|| format!("the body of the {key} is no base64")));
            let text = || body.get("as_string").and_then(Value::as_str).map(|text| text.as_bytes().to_vec());
            message.body = bytes.transpose()?.or_else(text);
        }
        Ok::<_, String>(Some(message))
    };
    let (request, response) = (half("request", note)?.unwrap_or_default(), half("response", note)?);
    let Some(path) = request.get(":path").map(str::to_owned) else {
        note(NO_PATH.into());
        return Ok(None);
    };
    let request = match request.request(None, &path, false, note) {
        Ok(request) => request,
        Err(statement) => {
            note(statement);
            return Ok(None);
        }
    };
    let status = response.as_ref().and_then(|response| response.get(":status")).map(number).transpose()?;
    let upstream = response.zip(status).map(|(response, status)| response.answer(status, &request.method, false));
    Ok(Some(Play { request, upstream, ..Play::default() }))
}

/// Removes the headers, the body and the trailers of an object.
fn message(object: &mut Map<String, Value>) -> Result<Message, String> {
    let [headers, trailers] =
        ["headers", "trailers"].map(|key| object.remove(key).map(fields).transpose().map(Option::unwrap_or_default));
    let encoded = |text: &str| decode(text).ok_or("the body is no base64");
    let body = match (object.remove("body"), object.remove("body_base64")) {
        (None | Some(Value::Null), None | Some(Value::Null)) => None,
        (Some(Value::String(text)), None) => Some(text.into_bytes()),
        (None, Some(Value::String(text))) => Some(encoded(&text)?),
        (Some(Value::Object(body)), None) if body.len() == 1 && body.contains_key("base64") => {
            Some(encoded(body.get("base64").and_then(Value::as_str).unwrap_or_default())?)
        }
        // A body that is JSON, as a value.
        (Some(body @ (Value::Object(_) | Value::Array(_))), None) => Some(body.to_string().into_bytes()),
        _ => return Err("a body is a text, JSON, or base64 in `body_base64`".into()),
    };
    Ok(Message { fields: headers?, body, trailers: trailers? })
}

/// Reads fields: an object, a list of pairs, or a list of objects with `name` or `key`, and
/// `value`.
fn fields(value: Value) -> Result<Vec<(String, String)>, String> {
    const WRONG: &str = "headers are an object, a list of pairs, or a list of objects with name and value";
    let mut all = Vec::new();
    match value {
        Value::Null => {}
        Value::Object(object) => {
            for (name, value) in object {
                let values = if let Value::Array(values) = value { values } else { vec![value] };
                for value in values {
                    all.push((name.clone(), scalar(value).ok_or(WRONG)?));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                all.push(field(item).ok_or(WRONG)?);
            }
        }
        _ => return Err(WRONG.into()),
    }
    Ok(all)
}

fn field(item: Value) -> Option<(String, String)> {
    match item {
        Value::Array(pair) => {
            let [name, value] = <[Value; 2]>::try_from(pair).ok()?;
            Some((name.as_str()?.to_owned(), scalar(value)?))
        }
        Value::Object(mut object) => {
            let name = object.remove("name").or_else(|| object.remove("key"))?;
            let value = match object.remove("raw_value") {
                Some(raw) => String::from_utf8_lossy(&decode(raw.as_str()?)?).into_owned(),
                None => object.remove("value").map_or(Some(String::new()), scalar)?,
            };
            Some((name.as_str()?.to_owned(), value))
        }
        _ => None,
    }
}

/// The text of a value that is no list and no object.
fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Removes the keys, and returns the first value. In access logs, `-` and null are absent values.
fn text(object: &mut Map<String, Value>, keys: &[&str]) -> Result<Option<String>, String> {
    let mut first = None;
    for key in keys {
        let value = match object.remove(*key) {
            None | Some(Value::Null) => continue,
            Some(value) => value,
        };
        let shown = value.to_string();
        let value = scalar(value).ok_or_else(|| format!("`{key}` is {shown}, expected a text"))?;
        if first.is_none() && value != "-" {
            first = Some(value);
        }
    }
    Ok(first)
}

fn number(status: &str) -> Result<u16, String> {
    status.parse().map_err(|_| format!("`{status}` is not a status"))
}
