//! One HTTP/2 stream (RFC 9113) and the connection it has for itself.
//!
//! Frames are written and read here, not by a library, because a library would group repeated
//! fields, refuse messages that a scenario sends, and hide where a body ended.

use super::hpack;
use super::wire::{LIMIT, PAUSE, Pace, QUIET, Wire};
use crate::message::{Body, Fields, Received};
use httlib_hpack::Decoder;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// The largest payload that every peer takes.
const FRAME: usize = 16_384;
/// What a peer takes before it says otherwise.
const WINDOW: i64 = 65_535;
/// What this side takes: more than any scenario sends, so that it never has to grant more.
const OWN_WINDOW: u32 = 0x7fff_ffff;

// The settings of RFC 9113, section 6.5.2.
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The frame types of RFC 9113, section 6.
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
    /// Envoy's own.
    pub(super) const METADATA: u8 = 0x4d;
}

/// The frame flags of RFC 9113, section 6.
mod flag {
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const ACK: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// The one stream of a connection, with the connection.
pub(super) struct Channel {
    /// What a METADATA frame after the headers says, if there is one.
    pub(super) metadata: Fields,
    pub(super) wire: Wire,
    /// Its id; 0 until the client has opened one.
    id: u32,
    decoder: Decoder<'static>,
    /// A header block of which more is to come, and whether the stream ends with it.
    block: Vec<u8>,
    block_ends_stream: bool,
    connection_window: i64,
    stream_window: i64,
    /// The number of bytes that a new stream may send, once the settings of the peer have arrived.
    initial_window: Option<i64>,
    pub(super) received: Received,
    /// Whether the final headers have come: a block after them is the trailers.
    pub(super) has_headers: bool,
    /// Nothing more comes on the stream.
    pub(super) ended: bool,
    pub(super) pace: Pace,
}

/// The pieces of a body, as a test gives them.
fn pieces(body: &Body) -> &[Vec<u8>] {
    match body {
        Body::Absent => &[],
        Body::Sized(bytes) if bytes.is_empty() => &[],
        Body::Sized(bytes) => std::slice::from_ref(bytes),
        Body::Chunked(chunks) => chunks,
    }
}

impl Channel {
    /// Exchanges settings.
    pub(super) fn open(wire: Wire, id: u32) -> io::Result<Self> {
        let mut channel = Self {
            metadata: Fields::new(),
            wire,
            id,
            decoder: Decoder::default(),
            block: Vec::new(),
            block_ends_stream: false,
            connection_window: WINDOW,
            stream_window: WINDOW,
            initial_window: None,
            received: Received::default(),
            has_headers: false,
            ended: false,
            pace: Pace::Parts,
        };
        let mut settings = Vec::new();
        // No table for compressed headers, no push, the largest window.
        for (setting, value) in [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, OWN_WINDOW)] {
            settings.extend(setting.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        channel.send_frame(kind::SETTINGS, 0, 0, &settings)?;
        let more = OWN_WINDOW - 65_535;
        channel.send_frame(kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes())?;
        while channel.initial_window.is_none() {
            channel.step(LIMIT)?;
        }
        Ok(channel)
    }

    /// Sends the message as far as the peer accepts it.
    pub(super) fn send_message(&mut self, mut head: Fields, headers: &Fields, body: &Body, trailers: &Fields) {
        head.extend(headers.iter().cloned());
        announce(&mut head, body);
        // A failure shows as a stream that has ended; what came before is still to be read.
        let _ = self.try_send_message(&head, body, trailers);
    }

    /// Asks for a tunnel. The bytes follow once the other side has agreed.
    pub(super) fn open_tunnel(&mut self, mut head: Fields, headers: &Fields, body: &Body) {
        head.extend(headers.iter().cloned());
        if self.send_headers(&head, false).is_err() {
            return;
        }
        while !self.has_headers && !self.ended && self.step(LIMIT).is_ok() {}
        let status = self.received.header(":status");
        let agrees = status.is_some_and(|status| status.starts_with(b"2"));
        if agrees && !self.ended && !self.pause() {
            // As above.
            let _ = self.send_pieces(pieces(body), true);
        }
    }

    /// Agrees to a tunnel, and sends the bytes when nothing more comes of the client's.
    pub(super) fn accept_tunnel(&mut self, mut head: Fields, headers: &Fields, body: &Body) -> io::Result<()> {
        head.extend(headers.iter().cloned());
        self.send_headers(&head, false)?;
        while !self.ended && self.step(QUIET).is_ok() {}
        self.ended = false;
        self.send_pieces(pieces(body), true)
    }

    /// Sends the message without its end.
    pub(super) fn send_beginning(&mut self, mut head: Fields, headers: &Fields, body: &Body) {
        head.extend(headers.iter().cloned());
        if let (Body::Sized(bytes), false) = (body, has_length(&head)) {
            head.push((b"content-length".to_vec(), (bytes.len() + 1).to_string().into_bytes()));
        }
        let sent = self.send_headers(&head, false);
        // As above.
        let _ = sent.and_then(|()| if self.pause() { Ok(()) } else { self.send_data(&body.bytes(), false) });
    }

    fn try_send_message(&mut self, head: &Fields, body: &Body, trailers: &Fields) -> io::Result<()> {
        let pieces = pieces(body);
        let has_data = !pieces.is_empty() || matches!(body, Body::Chunked(_));
        self.send_headers(head, !has_data && trailers.is_empty())?;
        if !self.metadata.is_empty() && !self.pause() {
            let block = hpack::encode(&self.metadata)?;
            self.send_frame(kind::METADATA, flag::END_HEADERS, self.id, &block)?;
        }
        if has_data {
            self.send_pieces(pieces, trailers.is_empty())?;
        }
        if !trailers.is_empty() && !self.pause() {
            self.send_headers(trailers, true)?;
        }
        Ok(())
    }

    fn send_pieces(&mut self, pieces: &[Vec<u8>], end: bool) -> io::Result<()> {
        for (index, piece) in pieces.iter().enumerate() {
            if self.pause() {
                return Ok(());
            }
            self.send_data(piece, index + 1 == pieces.len() && end)?;
        }
        if pieces.is_empty() && end { self.send_data(&[], true) } else { Ok(()) }
    }

    pub(super) fn send_headers(&mut self, fields: &Fields, end: bool) -> io::Result<()> {
        let block = hpack::encode(fields)?;
        let mut parts: Vec<&[u8]> = block.chunks(FRAME).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let kind = if index == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let mut flags = if index == last { flag::END_HEADERS } else { 0 };
            if index == 0 && end {
                flags |= flag::END_STREAM;
            }
            self.send_frame(kind, flags, self.id, part)?;
        }
        Ok(())
    }

    /// Sends data as fast as the other side's window allows.
    pub(super) fn send_data(&mut self, mut data: &[u8], end: bool) -> io::Result<()> {
        loop {
            let window = self.connection_window.min(self.stream_window);
            let room = usize::try_from(window).unwrap_or(0).min(FRAME);
            if room == 0 && !data.is_empty() {
                self.step(LIMIT)?;
                if self.ended {
                    return Ok(());
                }
                continue;
            }
            let (part, rest) = data.split_at(room.min(data.len()));
            let flags = if end && rest.is_empty() { flag::END_STREAM } else { 0 };
            self.send_frame(kind::DATA, flags, self.id, part)?;
            let used = i64::try_from(part.len()).unwrap_or(i64::MAX);
            self.connection_window -= used;
            self.stream_window -= used;
            data = rest;
            if data.is_empty() {
                return Ok(());
            }
        }
    }

    fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = length.get(1..).unwrap_or_default().to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.wire.send(&frame)
    }

    /// Pauses between two chunks while it reads. Returns true if sending more has no effect.
    fn pause(&mut self) -> bool {
        let end = Instant::now() + PAUSE;
        loop {
            if self.pace == Pace::AtOnce {
                return self.ended;
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() {
                return self.ended;
            }
            if self.step(left).is_err_and(|error| error.kind() != ErrorKind::TimedOut) {
                return true;
            }
        }
    }

    /// Receives until the stream ends or nothing comes. The pseudo-headers are in this order then.
    pub(super) fn receive(&mut self, pseudo: &[&[u8]]) {
        while !self.ended && self.step(LIMIT).is_ok() {}
        self.sort(pseudo);
    }

    /// Puts the pseudo-headers into this order.
    pub(super) fn sort(&mut self, pseudo: &[&[u8]]) {
        let (special, fields): (Fields, Fields) =
            std::mem::take(&mut self.received.headers).into_iter().partition(|(name, _)| name.starts_with(b":"));
        let find = |name: &&[u8]| special.iter().find(|(key, _)| key == name).cloned();
        self.received.headers = pseudo.iter().filter_map(find).chain(fields).collect();
    }

    /// The received message, if it began. The stream can then send its response.
    pub(super) fn take_received(&mut self) -> Option<Received> {
        let received = std::mem::take(&mut self.received);
        self.ended = false;
        std::mem::take(&mut self.has_headers).then_some(received)
    }

    /// Reads one frame and does what it says.
    pub(super) fn step(&mut self, limit: Duration) -> io::Result<()> {
        loop {
            if let Some((length, kind, flags, stream)) = header(self.wire.buffered()) {
                while self.wire.buffered().len() < 9 + length {
                    self.wire.fill(LIMIT)?;
                }
                self.wire.take(9);
                let payload = self.wire.take(length);
                return self.handle(kind, flags, stream, payload);
            }
            if let Err(error) = self.wire.fill(limit) {
                self.ended |= self.wire.is_closed();
                return Err(error);
            }
        }
    }

    fn handle(&mut self, kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> io::Result<()> {
        let has = |flag: u8| flags & flag != 0;
        if kind == kind::HEADERS && self.id == 0 {
            self.id = stream;
        }
        match kind {
            kind::SETTINGS if !has(flag::ACK) => {
                self.take_settings(&payload);
                self.send_frame(kind::SETTINGS, flag::ACK, 0, &[])
            }
            kind::PING if !has(flag::ACK) => self.send_frame(kind::PING, flag::ACK, 0, &payload),
            kind::WINDOW_UPDATE => {
                let more = i64::from(number(&payload));
                match stream {
                    0 => self.connection_window += more,
                    _ => self.stream_window += more,
                }
                Ok(())
            }
            kind::GOAWAY => {
                self.ended |= number(&payload) < self.id;
                Ok(())
            }
            _ if stream != self.id || stream == 0 => Ok(()),
            kind::HEADERS => {
                self.block = without_padding(flags, payload);
                if has(flag::PRIORITY) {
                    self.block.drain(..self.block.len().min(5));
                }
                self.block_ends_stream = has(flag::END_STREAM);
                self.end_block(has(flag::END_HEADERS))
            }
            kind::CONTINUATION => {
                self.block.extend(payload);
                self.end_block(has(flag::END_HEADERS))
            }
            kind::DATA => {
                self.received.body.extend(without_padding(flags, payload));
                self.end(has(flag::END_STREAM));
                Ok(())
            }
            kind::RST_STREAM => {
                self.ended = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end_block(&mut self, complete: bool) -> io::Result<()> {
        if !complete {
            return Ok(());
        }
        let fields = hpack::decode(&mut self.decoder, std::mem::take(&mut self.block))?;
        let is_interim = fields.first().is_some_and(|(name, value)| name == b":status" && value.starts_with(b"1"));
        if self.has_headers {
            self.received.trailers = fields;
        } else if !is_interim {
            self.received.headers = fields;
            self.has_headers = true;
        }
        self.end(self.block_ends_stream);
        Ok(())
    }

    fn end(&mut self, end: bool) {
        self.received.complete |= end;
        self.ended |= end;
    }

    fn take_settings<'a>(&mut self, payload: &'a [u8]) {
        let before = self.initial_window.unwrap_or(WINDOW);
        let value = |setting: &'a [u8]| setting.strip_prefix(&INITIAL_WINDOW_SIZE.to_be_bytes());
        let now = payload.chunks_exact(6).rev().find_map(value).map_or(before, |value| i64::from(number(value)));
        self.stream_window += now - before;
        self.initial_window = Some(now);
    }
}

/// Length, type, flags and stream of the frame at the front.
fn header(bytes: &[u8]) -> Option<(usize, u8, u8, u32)> {
    let [a, b, c, kind, flags, stream @ ..] = bytes.get(..9)? else { return None };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    Some((length, *kind, *flags, number(stream)))
}

/// The 31-bit number at the front.
fn number(bytes: &[u8]) -> u32 {
    let number = bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    number & 0x7fff_ffff
}

fn without_padding(flags: u8, mut payload: Vec<u8>) -> Vec<u8> {
    if flags & flag::PADDED != 0 && !payload.is_empty() {
        let padding = usize::from(payload.remove(0));
        payload.truncate(payload.len().saturating_sub(padding));
    }
    payload
}

/// Adds the `content-length` of a body of known length, unless the scenario wrote one.
pub(super) fn announce(headers: &mut Fields, body: &Body) {
    if let (Body::Sized(bytes), false) = (body, has_length(headers)) {
        headers.push((b"content-length".to_vec(), bytes.len().to_string().into_bytes()));
    }
}

fn has_length(headers: &Fields) -> bool {
    headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"))
}
