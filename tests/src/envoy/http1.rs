//! HTTP/1.1 on both sides of Envoy, with exactly the bytes of a scenario.

use super::visit::Visit;
use super::wire::{LIMIT, Pace, QUIET, Wire};
use crate::message::{Answered, Body, CONNECT, Fields, Received, Request, SWITCHING_PROTOCOLS};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The size of the header table that `httparse` fills: more fields than Envoy forwards.
const FIELDS: usize = 2048;

/// Sends a request and waits for the response. `None`: the connection ended, or nothing came for
/// too long, before a response began.
pub fn exchange(address: SocketAddr, request: &Request) -> io::Result<Option<Received>> {
    Ok(exchange_on(Wire::connect(address)?, request))
}

/// Sends a request on a connection and waits for the response, as [`exchange`] does.
pub(super) fn exchange_on(mut wire: Wire, request: &Request) -> Option<Received> {
    let framing = Framing::of(&request.headers, &request.body, &request.trailers).unwrap_or(Framing::None);
    let framing = if request.is_tunnel() { Framing::Told } else { framing };
    let first = format!("{} {} HTTP/1.1", request.method, request.path);
    let head = head(&first, request.authority.as_deref(), &request.headers, &framing);
    let mut pieces = pieces(head, &framing, &request.body, &request.trailers);
    let rest = request.answered.chunks().map(|chunks| pieces.split_off((chunks + 1).min(pieces.len())));
    send(&mut wire, &pieces, has_response);
    if let (Answered::After(_), Some(rest)) = (request.answered, rest) {
        while !has_response(wire.buffered()) && wire.fill(LIMIT).is_ok() {}
        let declined = request.is_tunnel() && !is_tunneled(wire.buffered(), &request.method);
        for piece in rest.into_iter().take(if declined { 0 } else { usize::MAX }) {
            if wire.pause(|_| false) || wire.send(&piece).is_err() {
                break;
            }
        }
    }
    wire.disconnect_after(request.disconnect_after);
    receive_response(&mut wire, &request.method)
}

/// Serves one request: hands over what came, complete or not, and sends the reply unless there is
/// none.
///
/// An upstream that responds before the end of the request ends its response when it has the rest.
pub(super) fn serve(mut wire: Wire, pace: Pace, answered: Answered, visit: &Visit) {
    let Some((mut request, method, incoming)) = receive_request(&mut wire, answered) else { return };
    let is_tunnel = matches!(incoming, Incoming::UntilClosed);
    let Some(reply) = visit.answer(&request).filter(|reply| !reply.reset) else { return };
    let bodiless = has_no_body(&method, reply.status);
    let nothing = if bodiless && !reply.cut_off { Framing::None } else { Framing::Length(0) };
    let mut framing = Framing::of(&reply.headers, &reply.body, &reply.trailers).unwrap_or(nothing);
    let upgraded = agrees(&method, reply.status);
    if upgraded {
        framing = Framing::Told;
    }
    if let (Framing::Length(length), true) = (&mut framing, reply.cut_off) {
        *length += 1;
    }
    let head = head(&format!("HTTP/1.1 {} ", reply.status), None, &reply.headers, &framing);
    let mut pieces = if bodiless { vec![head] } else { pieces(head, &framing, &reply.body, &reply.trailers) };
    if let (Framing::Chunked, true) = (&framing, reply.cut_off) {
        // Without the last chunk.
        pieces.pop();
    }
    if pace == Pace::AtOnce {
        pieces = vec![pieces.concat()];
    }
    let is_declined = is_tunnel && !upgraded;
    if let (Answered::After(_), false) = (answered, is_declined) {
        let body = pieces.split_off(1.min(pieces.len()));
        send(&mut wire, &pieces, |_| false);
        receive_some(&mut wire, &incoming, usize::MAX, &mut request);
        visit.note(&request);
        pieces = body;
    }
    send(&mut wire, &pieces, |_| false);
    // With a length of its own, a scenario may have announced more than there is: closing at once
    // cuts the response off.
    if !reply.cut_off && !matches!(framing, Framing::Told) && !upgraded {
        wire.drain();
    }
}

/// How a message that goes out says where its body ends.
enum Framing {
    /// It ends with its headers and does not say so.
    None,
    /// The `content-length` that a scenario wrote says it, truly or not.
    Told,
    /// With a `content-length`.
    Length(usize),
    /// With `transfer-encoding: chunked`, which every message with trailers needs.
    Chunked,
}

impl Framing {
    /// The framing of a message to send; `None` when it ends with its headers.
    fn of(headers: &Fields, body: &Body, trailers: &Fields) -> Option<Self> {
        let told = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
        match body {
            _ if !trailers.is_empty() => Some(Self::Chunked),
            _ if told => Some(Self::Told),
            Body::Chunked(_) => Some(Self::Chunked),
            Body::Sized(bytes) => Some(Self::Length(bytes.len())),
            Body::Absent => None,
        }
    }
}

/// The fields as lines, with the empty line after them.
fn block(fields: &Fields) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
    }
    block.extend_from_slice(b"\r\n");
    block
}

/// The first line and the fields, with the field of the framing last.
fn head(first: &str, authority: Option<&str>, fields: &Fields, framing: &Framing) -> Vec<u8> {
    let mut all: Fields = authority.map(|host| (b"host".to_vec(), host.as_bytes().to_vec())).into_iter().collect();
    all.extend(fields.iter().cloned());
    match framing {
        Framing::None | Framing::Told => {}
        Framing::Length(length) => all.push((b"content-length".to_vec(), length.to_string().into_bytes())),
        Framing::Chunked => all.push((b"transfer-encoding".to_vec(), b"chunked".to_vec())),
    }
    [first.as_bytes(), b"\r\n", &block(&all)].concat()
}

/// The message cut into what is sent at once. The head goes ahead of the body, so that it is no
/// matter of luck whether it has reached the upstream when a filter refuses the body.
fn pieces(head: Vec<u8>, framing: &Framing, body: &Body, trailers: &Fields) -> Vec<Vec<u8>> {
    let chunks = match body {
        Body::Absent => &[],
        Body::Sized(bytes) => std::slice::from_ref(bytes),
        Body::Chunked(chunks) => chunks.as_slice(),
    };
    // An empty chunk would be the last one.
    let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
    let mut pieces = vec![head];
    if matches!(framing, Framing::Chunked) {
        pieces.extend(chunks.map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()));
        pieces.push([&b"0\r\n"[..], &block(trailers)].concat());
    } else {
        pieces.extend(chunks.cloned());
    }
    pieces
}

/// Sends the chunks with pauses between them, until the peer does not read any more.
fn send(wire: &mut Wire, pieces: &[Vec<u8>], enough: fn(&[u8]) -> bool) {
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 && wire.pause(enough) {
            return;
        }
        if wire.send(piece).is_err() {
            // The other side closed; what it sent before is still to be read.
            return;
        }
    }
}

/// Whether a final response has begun, or something that is no response.
fn has_response(mut bytes: &[u8]) -> bool {
    loop {
        match parse_response(bytes) {
            Ok(None) => return false,
            Ok(Some((length, head))) if is_interim(head.status) => bytes = bytes.get(length..).unwrap_or_default(),
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// Whether the final response agrees to a tunnel. Otherwise its bytes do not follow.
fn is_tunneled(mut bytes: &[u8], method: &str) -> bool {
    while let Ok(Some((length, head))) = parse_response(bytes) {
        if !is_interim(head.status) {
            return agrees(method, head.status);
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    false
}

/// A status line and the fields after it.
struct ResponseHead {
    status: u16,
    fields: Fields,
}

/// A request line and the fields after it.
struct RequestHead {
    method: String,
    path: String,
    fields: Fields,
}

/// A head at the front of some bytes, with its length; `None`: more bytes are needed.
type Parsed<T> = Result<Option<(usize, T)>, httparse::Error>;

fn parse_response(bytes: &[u8]) -> Parsed<ResponseHead> {
    let mut table = vec![httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut table);
    let status = response.parse(bytes)?;
    let head = ResponseHead { status: response.code.unwrap_or_default(), fields: fields(response.headers) };
    Ok(complete(status, head))
}

fn parse_request(bytes: &[u8]) -> Parsed<RequestHead> {
    let mut table = vec![httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut table);
    let status = request.parse(bytes)?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let head = RequestHead { method: text(request.method), path: text(request.path), fields: fields(request.headers) };
    Ok(complete(status, head))
}

fn complete<T>(status: httparse::Status<usize>, head: T) -> Option<(usize, T)> {
    match status {
        httparse::Status::Complete(length) => Some((length, head)),
        httparse::Status::Partial => None,
    }
}

fn fields(headers: &[httparse::Header<'_>]) -> Fields {
    headers.iter().map(|header| (header.name.to_ascii_lowercase().into_bytes(), header.value.to_vec())).collect()
}

/// Waits until `parse` finds a head, and takes it from the wire; `None` when there will be none.
fn receive_head<T>(wire: &mut Wire, parse: fn(&[u8]) -> Parsed<T>) -> Option<T> {
    loop {
        if let Some((length, head)) = parse(wire.buffered()).ok()? {
            wire.take(length);
            return Some(head);
        }
        wire.fill(LIMIT).ok()?;
    }
}

fn receive_response(wire: &mut Wire, method: &str) -> Option<Received> {
    loop {
        let Some(ResponseHead { status, fields }) = receive_head(wire, parse_response) else { return unreadable(wire) };
        if is_interim(status) {
            continue;
        }
        let framing = match () {
            () if has_no_body(method, status) => Some(Incoming::Nothing),
            () if agrees(method, status) => Some(Incoming::UntilClosed),
            () => Incoming::of(&fields),
        };
        let mut received =
            Received { headers: vec![(b":status".to_vec(), status.to_string().into_bytes())], ..Received::default() };
        received.headers.extend(fields.into_iter().filter(|(name, _)| !is_hop_by_hop(name)));
        receive_body(wire, &framing.unwrap_or(Incoming::UntilClosed), &mut received);
        return Some(received);
    }
}

fn receive_request(wire: &mut Wire, answered: Answered) -> Option<(Received, String, Incoming)> {
    let Some(RequestHead { method, path, mut fields }) = receive_head(wire, parse_request) else {
        return unreadable(wire).map(|received| (received, String::new(), Incoming::Nothing));
    };
    let is_connect = method == CONNECT;
    let is_tunnel = is_connect || fields.iter().any(|(name, _)| name == b"upgrade");
    let raw = if is_tunnel { Incoming::UntilClosed } else { Incoming::Nothing };
    let framing = Incoming::of(&fields).unwrap_or(raw);
    let authority = fields.iter().position(|(name, _)| name == b"host").map(|index| fields.remove(index).1);
    let mut received = Received::default();
    received.headers.push((b":method".to_vec(), method.clone().into_bytes()));
    if !is_connect {
        received.headers.push((b":path".to_vec(), path.into_bytes()));
    }
    received.headers.extend(authority.map(|authority| (b":authority".to_vec(), authority)));
    received.headers.extend(fields.into_iter().filter(|(name, _)| !is_hop_by_hop(name)));
    match answered.chunks() {
        None => receive_body(wire, &framing, &mut received),
        Some(chunks) => receive_some(wire, &framing, chunks, &mut received),
    }
    Some((received, method, framing))
}

/// Bytes that are not a head are recorded as the body of an incomplete message, so that a test can
/// show them.
fn unreadable(wire: &mut Wire) -> Option<Received> {
    let body = wire.take(usize::MAX);
    (!body.is_empty()).then(|| Received { body, ..Received::default() })
}

/// Whether another response follows. After that to an upgrade, the other protocol does.
fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != SWITCHING_PROTOCOLS
}

/// Whether the upstream agrees to a tunnel: to an upgrade, or to `CONNECT`.
fn agrees(method: &str, status: u16) -> bool {
    status == SWITCHING_PROTOCOLS || method == CONNECT && (200..300).contains(&status)
}

fn has_no_body(method: &str, status: u16) -> bool {
    method == "HEAD" || is_interim(status) || status == 204 || status == 304
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    name == b"transfer-encoding" || name == b"connection"
}

/// How a message that comes in says where its body ends.
enum Incoming {
    Nothing,
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Incoming {
    fn of(fields: &Fields) -> Option<Self> {
        let value = |name: &[u8]| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice());
        if value(b"transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            return Some(Self::Chunked);
        }
        std::str::from_utf8(value(b"content-length")?).ok()?.trim().parse().ok().map(Self::Length)
    }
}

/// Reads the body as far as it comes.
fn receive_body(wire: &mut Wire, framing: &Incoming, received: &mut Received) {
    let end = match *framing {
        Incoming::Nothing => Ok(()),
        Incoming::Length(length) => receive_exactly(wire, length, &mut received.body),
        Incoming::Chunked => receive_chunks(wire, received),
        Incoming::UntilClosed => loop {
            received.body.extend(wire.take(usize::MAX));
            if let Err(error) = wire.fill(LIMIT) {
                break if error.kind() == ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
            }
        },
    };
    received.complete = end.is_ok();
}

/// Reads this number of chunks, or until no more bytes arrive.
fn receive_some(wire: &mut Wire, framing: &Incoming, chunks: usize, received: &mut Received) {
    for _ in 0..chunks {
        if matches!(framing, Incoming::Chunked) {
            match whole_chunk(wire) {
                Some(0) => return receive_body(wire, framing, received),
                Some(length) => {
                    let _ = wire.line();
                    received.body.extend(wire.take(length));
                    wire.take(2);
                }
                None => return,
            }
        } else {
            if wire.buffered().is_empty() && wire.fill(QUIET).is_err() {
                return;
            }
            received.body.extend(wire.take(usize::MAX));
        }
    }
}

/// The length of the next chunk, once all of it has arrived.
fn whole_chunk(wire: &mut Wire) -> Option<usize> {
    loop {
        let buffered = wire.buffered();
        if let Some(end) = buffered.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(buffered.get(..end)?).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            if size == 0 || buffered.len() >= end + 2 + size + 2 {
                return Some(size);
            }
        }
        wire.fill(QUIET).ok()?;
    }
}

fn receive_exactly(wire: &mut Wire, mut length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let part = wire.take(length);
        length -= part.len();
        body.extend(part);
        if length == 0 {
            return Ok(());
        }
        wire.fill(LIMIT)?;
    }
}

fn receive_chunks(wire: &mut Wire, received: &mut Received) -> io::Result<()> {
    loop {
        let size = wire.line()?;
        let size = std::str::from_utf8(&size).ok().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or(ErrorKind::InvalidData)?;
        if size == 0 {
            break;
        }
        receive_exactly(wire, size, &mut received.body)?;
        wire.exactly(2)?;
    }
    loop {
        let line = wire.line()?;
        if line.is_empty() {
            return Ok(());
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(ErrorKind::InvalidData)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        received.trailers.push((name.to_ascii_lowercase(), value.to_vec()));
    }
}
