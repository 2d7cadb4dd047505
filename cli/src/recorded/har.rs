//! HAR, the HTTP archive of browsers and proxies. Source: the HAR 1.2 specification, and the files
//! that Chromium, Firefox and mitmproxy write.

use super::message::{Message, decode};
use super::notes::Notes;
use super::web_socket::{self, BINARY};
use crate::script::{Data, Play};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Option<Response>,
    #[serde(rename = "_webSocketMessages")]
    web_socket: Option<Vec<WebSocketMessage>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    http_version: Option<String>,
    headers: Option<Vec<Pair>>,
    cookies: Option<Vec<Pair>>,
    post_data: Option<PostData>,
    body_size: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status: Option<i64>,
    http_version: Option<String>,
    headers: Option<Vec<Pair>>,
    cookies: Option<Vec<Cookie>>,
    content: Option<Content>,
    #[serde(rename = "_error")]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cookie {
    name: String,
    value: Option<String>,
    path: Option<String>,
    domain: Option<String>,
    expires: Option<String>,
    http_only: Option<bool>,
    secure: Option<bool>,
    same_site: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: Option<String>,
    text: Option<String>,
    encoding: Option<String>,
    params: Option<Vec<Param>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Param {
    name: String,
    value: Option<String>,
    file_name: Option<String>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    size: Option<f64>,
    text: Option<String>,
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct WebSocketMessage {
    #[serde(rename = "type")]
    kind: String,
    opcode: Option<f64>,
    data: Option<String>,
}

/// Returns the entries of a HAR; `None` if the value is not one.
pub(super) fn entries(value: &mut Value) -> Option<Vec<Value>> {
    match value.pointer_mut("/log/entries")?.take() {
        Value::Array(entries) => Some(entries),
        _ => None,
    }
}

/// Makes an exchange of an entry; `None` if the entry is left out, which the notes say.
///
/// # Errors
/// The entry is not one of a HAR.
pub(super) fn play(number: usize, entry: Value, notes: &mut Notes) -> Result<Option<Play>, String> {
    let entry: Entry = serde_json::from_value(entry).map_err(|error| format!("entry {number}: {error}"))?;
    let mut note = |statement: String| notes.add(number, statement);
    let Entry { request: recorded, response, web_socket } = entry;
    let version = recorded.http_version.clone().unwrap_or_default();
    let http2 = is_multiplexed(&version);
    if is_http3(&version) {
        note("HTTP/3 is played as HTTP/2".into());
    }
    let (method, url) = (recorded.method.clone(), recorded.url.clone());
    let mut request = match recorded.message(&mut note).request(Some(method), &url, http2, &mut note) {
        Ok(request) => request,
        Err(statement) => {
            note(statement);
            return Ok(None);
        }
    };
    let mut upstream = response.unwrap_or_default().answer(&request.method, &mut note);
    match web_socket {
        Some(messages) if request.upgrade.is_some() => {
            let (sent, received) = frames(messages, &mut note);
            request.chunks = sent;
            if let Some(upstream) = &mut upstream {
                upstream.chunks = received;
            }
        }
        Some(messages) if !messages.is_empty() => {
            note("the messages of a WebSocket without an upgrade of HTTP/1 are not played".into());
        }
        _ => {}
    }
    Ok(Some(Play { name: Some(format!("entry {number}")), request, upstream, ..Play::default() }))
}

/// Whether a version has streams: `h2`, `HTTP/2`, `http/2.0`, and those of HTTP/3.
fn is_multiplexed(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    version == "h2" || version.starts_with("http/2") || is_http3(&version)
}

fn is_http3(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    version.starts_with("h3") || version.starts_with("http/3") || version.contains("quic")
}

fn fields(pairs: Option<Vec<Pair>>) -> Vec<(String, String)> {
    pairs.into_iter().flatten().map(|pair| (pair.name, pair.value.unwrap_or_default())).collect()
}

/// Returns the bytes of a text in an encoding.
fn bytes(text: String, encoding: Option<&str>, whose: &str, note: &mut dyn FnMut(String)) -> Option<Vec<u8>> {
    match encoding {
        None | Some("") => Some(text.into_bytes()),
        Some(encoding) if encoding.eq_ignore_ascii_case("base64") => {
            let decoded = decode(&text);
            if decoded.is_none() {
                note(format!("the body of the {whose} is no base64: it is played without"));
            }
            decoded
        }
        Some(encoding) => {
            note(format!("the body of the {whose} has the encoding `{encoding}`: it is played without"));
            None
        }
    }
}

/// A size as files have it: -1 is unknown.
fn known(size: Option<f64>) -> u64 {
    // A cast saturates: negative numbers become 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    size.map_or(0, |size| size as u64)
}

impl Request {
    fn message(self, note: &mut dyn FnMut(String)) -> Message {
        let mut message = Message { fields: fields(self.headers), ..Message::default() };
        let cookies = fields(self.cookies);
        if message.get("cookie").is_none() && !cookies.is_empty() {
            let cookies: Vec<_> = cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            message.fields.push(("cookie".into(), cookies.join("; ")));
        }
        let content_type = message.get("content-type").map(str::to_owned);
        if let Some(data) = self.post_data {
            if content_type.is_none() {
                let mime_type = data.mime_type.clone().filter(|mime_type| !mime_type.is_empty());
                message.fields.extend(mime_type.map(|mime_type| ("content-type".into(), mime_type)));
            }
            message.body = data.bytes(content_type, note);
        }
        let size = known(self.body_size);
        if message.body.is_none() && message.get("content-length").is_none() && size > 0 {
            note(format!("the body of the request is not recorded, {size} bytes: it is played without"));
        }
        if message.body.is_some() && message.get("content-encoding").is_some() {
            note("the body of the request has a content-encoding, and is played as it is recorded".into());
        }
        message
    }
}

impl PostData {
    fn bytes(self, content_type: Option<String>, note: &mut dyn FnMut(String)) -> Option<Vec<u8>> {
        let params = self.params.unwrap_or_default();
        if let Some(text) = self.text.filter(|text| !text.is_empty() || params.is_empty()) {
            return bytes(text, self.encoding.as_deref(), "request", note);
        }
        let content_type = content_type.or(self.mime_type).unwrap_or_default();
        let Some(boundary) = boundary(&content_type) else {
            let pairs: Vec<_> = params
                .iter()
                .map(|param| {
                    format!("{}={}", escaped(&param.name), escaped(param.value.as_deref().unwrap_or_default()))
                })
                .collect();
            return Some(pairs.join("&").into_bytes());
        };
        let mut body = String::new();
        for param in &params {
            let _ = write!(body, "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", param.name);
            if let Some(name) = &param.file_name {
                let _ = write!(body, "; filename=\"{name}\"");
                if param.value.is_none() {
                    note(format!("the content of the file `{name}` is not recorded: it is played empty"));
                }
            }
            if let Some(content_type) = &param.content_type {
                let _ = write!(body, "\r\ncontent-type: {content_type}");
            }
            let _ = write!(body, "\r\n\r\n{}\r\n", param.value.as_deref().unwrap_or_default());
        }
        let _ = write!(body, "--{boundary}--\r\n");
        Some(body.into_bytes())
    }
}

/// The boundary of a multipart body.
fn boundary(content_type: &str) -> Option<&str> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    content_type
        .to_ascii_lowercase()
        .starts_with("multipart/")
        .then(|| boundary.split(';').next().unwrap_or_default().trim().trim_matches('"'))
}

/// Escapes what a form cannot contain. Recordings have names and values that are escaped already,
/// and others.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'%' | b'+' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

impl Response {
    /// Returns the upstream's response; `None` if none is recorded.
    fn answer(self, method: &str, note: &mut dyn FnMut(String)) -> Option<crate::script::Answer> {
        let status = self.status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status > 0);
        let Some(status) = status else {
            let why = self.error.map(|error| format!(" ({error})")).unwrap_or_default();
            note(format!("no response is recorded{why}: the upstream sends its default response"));
            return None;
        };
        let mut message = Message { fields: fields(self.headers), ..Message::default() };
        if message.get("set-cookie").is_none() {
            for cookie in self.cookies.into_iter().flatten() {
                if cookie.expires.as_ref().is_some_and(|expires| !expires.is_empty()) {
                    note(format!("the cookie `{}` is played without its expiry", cookie.name));
                }
                message.fields.push(("set-cookie".into(), cookie.text()));
            }
        }
        let Content { size, text, encoding } =
            self.content.unwrap_or(Content { size: None, text: None, encoding: None });
        message.body = text.and_then(|text| bytes(text, encoding.as_deref(), "response", note));
        let (size, recorded) = (known(size), message.body.as_ref().map_or(0, Vec::len) as u64);
        let coding = message.get("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
        // Some proxies write the size of the encoded body.
        if recorded < size && (recorded == 0 || coding.is_none()) && method != "HEAD" {
            note(format!("of the body of the response, {recorded} of {size} bytes are recorded"));
        }
        if coding.is_some() && recorded > 0 {
            note("the body of the response is recorded decoded: it is played without its content-encoding".into());
            message.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
        }
        Some(message.answer(status, method, is_multiplexed(self.http_version.as_deref().unwrap_or_default())))
    }
}

impl Cookie {
    fn text(self) -> String {
        let mut text = format!("{}={}", self.name, self.value.unwrap_or_default());
        for (name, value) in [("Path", self.path), ("Domain", self.domain), ("SameSite", self.same_site)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _ = write!(text, "; {name}={value}");
            }
        }
        for (name, is_set) in [("HttpOnly", self.http_only), ("Secure", self.secure)] {
            if is_set == Some(true) {
                let _ = write!(text, "; {name}");
            }
        }
        text
    }
}

/// Returns the frames that the client sent, and those that it received.
fn frames(messages: Vec<WebSocketMessage>, note: &mut dyn FnMut(String)) -> (Vec<Data>, Vec<Data>) {
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for WebSocketMessage { kind, opcode, data } in messages {
        let is_of_client = kind == "send";
        if !is_of_client && kind != "receive" {
            note(format!("a message of the WebSocket with the type `{kind}` is left out"));
            continue;
        }
        let opcode = u8::try_from(known(opcode)).unwrap_or(1);
        let data = data.unwrap_or_default();
        let payload = if opcode == BINARY { decode(&data) } else { None }.unwrap_or_else(|| data.into_bytes());
        let frame = Data(web_socket::frame(opcode, &payload, is_of_client));
        if is_of_client { sent.push(frame) } else { received.push(frame) }
    }
    if !sent.is_empty() && !received.is_empty() {
        note("the messages of the WebSocket are played in their order, first those of the client".into());
    }
    (sent, received)
}
