//! Decodes and encodes AWS event streams (`application/vnd.amazon.eventstream`), as used by Bedrock
//! and other services.
//!
//! ```
//! use proxy_filter_kit::aws_event_stream::{Decoder, Message, Value};
//!
//! let message = Message::new(b"{\"p\":1}").header(":event-type", Value::String("chunk".into()));
//! let bytes = message.encode().unwrap();
//! let mut decoder = Decoder::new(64 * 1024);
//! let mut types = Vec::new();
//! for chunk in bytes.chunks(5) {
//!     decoder.push(chunk, |message| types.push(message.string(":event-type").map(str::to_owned))).unwrap();
//! }
//! assert_eq!(types, [Some("chunk".to_owned())]);
//! ```
//!
//! Source: Amazon Transcribe and Smithy documentation, "Event stream encoding".

use core::fmt;

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Types 0 and 1.
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Short(i16),
    /// Type 4.
    Int(i32),
    /// Type 5.
    Long(i64),
    /// Type 6.
    Bytes(Vec<u8>),
    /// Type 7.
    String(String),
    /// Type 8: milliseconds since 1970.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Names and values, in their order.
    pub headers: Vec<(String, Value)>,
    /// The bytes after the headers.
    pub payload: Vec<u8>,
}

/// The fault of a malformed stream. The decoder cannot find the next message after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// A checksum is wrong.
    Checksum,
    /// The lengths contradict each other.
    Length,
    /// A header is malformed.
    Header,
    /// A message exceeds the limit.
    TooLarge,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a checksum of the event stream is wrong",
            Self::Length => "the lengths in the event stream contradict each other",
            Self::Header => "a header in the event stream is malformed",
            Self::TooLarge => "a message of the event stream exceeds the limit",
        })
    }
}

impl std::error::Error for StreamError {}

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

impl Message {
    /// Creates a message without headers.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { headers: Vec::new(), payload: payload.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: Value) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    /// Returns the first value of a header that is a string: `:event-type`, `:message-type`,
    /// `:exception-type`, `:content-type`.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(found, value)| match value {
            Value::String(value) if found == name => Some(value.as_str()),
            _ => None,
        })
    }

    /// Encodes the message for the wire.
    ///
    /// # Errors
    /// Fails if a name is empty or longer than 255 bytes, a value is longer than 32,767 bytes, or
    /// the message is longer than 4 GiB.
    pub fn encode(&self) -> Result<Vec<u8>, StreamError> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let length = u8::try_from(name.len()).ok().filter(|length| *length > 0).ok_or(StreamError::Header)?;
            headers.push(length);
            headers.extend_from_slice(name.as_bytes());
            value.write(&mut headers)?;
        }
        let size = |length: usize| u32::try_from(length).map_err(|_| StreamError::TooLarge);
        let total = PRELUDE.saturating_add(headers.len()).saturating_add(self.payload.len()).saturating_add(CHECKSUM);
        let mut bytes = [size(total)?.to_be_bytes(), size(headers.len())?.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend_from_slice(&headers);
        bytes.extend_from_slice(&self.payload);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        Ok(bytes)
    }

    /// Parses a complete message without its checksum.
    fn decode(bytes: &[u8], headers: usize) -> Option<Self> {
        let (mut rest, payload) = bytes.get(PRELUDE..)?.split_at_checked(headers)?;
        let mut message = Self::new(payload);
        while let Some((length, after)) = rest.split_first() {
            let (name, after) = after.split_at_checked(usize::from(*length)).filter(|(name, _)| !name.is_empty())?;
            let (value, after) = Value::read(after)?;
            message.headers.push((core::str::from_utf8(name).ok()?.to_owned(), value));
            rest = after;
        }
        Some(message)
    }
}

impl Value {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
            bytes.split_first_chunk::<N>().map(|(value, rest)| (*value, rest))
        }
        let (kind, bytes) = bytes.split_first()?;
        let sized = || {
            let (length, rest) = take::<2>(bytes)?;
            rest.split_at_checked(usize::from(u16::from_be_bytes(length)))
        };
        Some(match kind {
            0 => (Self::Bool(true), bytes),
            1 => (Self::Bool(false), bytes),
            2 => take(bytes).map(|(value, rest)| (Self::Byte(i8::from_be_bytes(value)), rest))?,
            3 => take(bytes).map(|(value, rest)| (Self::Short(i16::from_be_bytes(value)), rest))?,
            4 => take(bytes).map(|(value, rest)| (Self::Int(i32::from_be_bytes(value)), rest))?,
            5 => take(bytes).map(|(value, rest)| (Self::Long(i64::from_be_bytes(value)), rest))?,
            6 => sized().map(|(value, rest)| (Self::Bytes(value.to_vec()), rest))?,
            7 => {
                let (value, rest) = sized()?;
                (Self::String(core::str::from_utf8(value).ok()?.to_owned()), rest)
            }
            8 => take(bytes).map(|(value, rest)| (Self::Timestamp(i64::from_be_bytes(value)), rest))?,
            9 => take(bytes).map(|(value, rest)| (Self::Uuid(value), rest))?,
            _ => return None,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Result<(), StreamError> {
        let mut sized = |kind: u8, value: &[u8]| -> Result<(), StreamError> {
            let length = i16::try_from(value.len()).map_err(|_| StreamError::Header)?;
            bytes.push(kind);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(value);
            Ok(())
        };
        match self {
            Self::Bytes(value) => return sized(6, value),
            Self::String(value) => return sized(7, value.as_bytes()),
            Self::Bool(value) => bytes.push(u8::from(!value)),
            Self::Byte(value) => bytes.extend_from_slice(&[&[2][..], &value.to_be_bytes()].concat()),
            Self::Short(value) => bytes.extend_from_slice(&[&[3][..], &value.to_be_bytes()].concat()),
            Self::Int(value) => bytes.extend_from_slice(&[&[4][..], &value.to_be_bytes()].concat()),
            Self::Long(value) => bytes.extend_from_slice(&[&[5][..], &value.to_be_bytes()].concat()),
            Self::Timestamp(value) => bytes.extend_from_slice(&[&[8][..], &value.to_be_bytes()].concat()),
            Self::Uuid(value) => bytes.extend_from_slice(&[&[9][..], &value[..]].concat()),
        }
        Ok(())
    }
}

/// Decodes messages from chunks of any size. A message is reported in the chunk that completes it.
///
/// Stores at most `max_message` bytes, plus a decoded message while the closure runs.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_message: usize,
    buffer: Vec<u8>,
    failed: Option<StreamError>,
}

impl Decoder {
    /// Creates a decoder for messages of at most `max_message` bytes each.
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, buffer: Vec::new(), failed: None }
    }

    /// Decodes a chunk, and calls the closure for each message that it completes.
    ///
    /// # Errors
    /// Fails if the stream is malformed, or a message exceeds the limit. Each later call returns
    /// the same error.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Message)) -> Result<(), StreamError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let mut rest = chunk;
        let mut run = || {
            loop {
                let wanted = self.wanted()?;
                let missing = wanted.saturating_sub(self.buffer.len());
                let (taken, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
                self.buffer.extend_from_slice(taken);
                rest = after;
                if self.buffer.len() < wanted {
                    return Ok(());
                }
                if wanted > PRELUDE {
                    let message = self.message()?;
                    self.buffer.clear();
                    each(message);
                }
            }
        };
        let result = run();
        if let Err(why) = result {
            (self.failed, self.buffer) = (Some(why), Vec::new());
        }
        result
    }

    /// Whether the stream is between two messages, as it must be at its end.
    pub fn is_between_messages(&self) -> bool {
        self.buffer.is_empty() && self.failed.is_none()
    }

    /// Returns the number of bytes that the buffer needs next: a prelude, or a complete message.
    fn wanted(&self) -> Result<usize, StreamError> {
        let Some((total, headers)) = self.prelude() else { return Ok(PRELUDE) };
        if self.buffer.len() == PRELUDE {
            self.check(PRELUDE.saturating_sub(CHECKSUM))?;
        }
        let least = headers.checked_add(PRELUDE + CHECKSUM);
        if least.is_none_or(|least| total < least) {
            return Err(StreamError::Length);
        }
        if total > self.max_message { Err(StreamError::TooLarge) } else { Ok(total) }
    }

    /// Returns the lengths of the complete message and of its headers.
    fn prelude(&self) -> Option<(usize, usize)> {
        let prelude = self.buffer.first_chunk::<PRELUDE>()?;
        let number = |bytes: Option<&[u8; 4]>| usize::try_from(u32::from_be_bytes(*bytes?)).ok();
        Some((number(prelude.first_chunk())?, number(prelude.get(4..)?.first_chunk())?))
    }

    /// Verifies the checksum at a position, which covers all bytes before it.
    fn check(&self, at: usize) -> Result<(), StreamError> {
        let (before, after) = self.buffer.split_at_checked(at).ok_or(StreamError::Length)?;
        let expected = crc32fast::hash(before).to_be_bytes();
        if after.starts_with(&expected) { Ok(()) } else { Err(StreamError::Checksum) }
    }

    fn message(&self) -> Result<Message, StreamError> {
        let end = self.buffer.len().saturating_sub(CHECKSUM);
        self.check(end)?;
        let (_, headers) = self.prelude().ok_or(StreamError::Length)?;
        let bytes = self.buffer.get(..end).ok_or(StreamError::Length)?;
        Message::decode(bytes, headers).ok_or(StreamError::Header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    fn read(chunks: &[&[u8]]) -> Result<Vec<Message>, StreamError> {
        let mut decoder = Decoder::new(500);
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |message| messages.push(message))?;
            assert!(decoder.buffer.len() <= 500);
        }
        assert!(decoder.is_between_messages());
        Ok(messages)
    }

    fn every_type() -> Message {
        Message::new(b"{'foo':'bar'}")
            .header("true", Value::Bool(true))
            .header("false", Value::Bool(false))
            .header("byte", Value::Byte(-49))
            .header("short", Value::Short(-42))
            .header("int", Value::Int(40_972))
            .header("long", Value::Long(42_424_242))
            .header("bytes", Value::Bytes(b"\xff\0".to_vec()))
            .header(":event-type", Value::String("cont\u{e9}nt".into()))
            .header("time", Value::Timestamp(8_675_309_000))
            .header("uuid", Value::Uuid([7; 16]))
    }

    /// The vectors that AWS publishes with its decoders: an empty message, one with a header, and
    /// one with only a payload.
    #[test]
    fn published_messages_are_read_and_written() {
        let empty = b"\0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
        assert_eq!(Message::default().encode().unwrap(), empty);
        let header = b"\0\0\0\x2d\0\0\0\x10\x41\xc4\x24\xb8\x0aevent-type\x04\0\0\xa0\x0c{'foo':'bar'}\x36\xf4\x80\xa0";
        let message = Message::new(b"{'foo':'bar'}").header("event-type", Value::Int(40_972));
        assert_eq!(message.encode().unwrap(), header);
        let payload = b"\0\0\0\x1d\0\0\0\0\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
        assert_eq!(Message::new(b"{'foo':'bar'}").encode().unwrap(), payload);
        let stream = [&empty[..], header, payload].concat();
        assert_eq!(read(&[&stream]).unwrap(), [Message::default(), message, Message::new(b"{'foo':'bar'}")]);
    }

    #[test]
    fn messages_do_not_depend_on_chunk_boundaries() {
        let messages = [every_type(), Message::default(), Message::new(vec![0xff; 90])];
        let stream: Vec<u8> = messages.iter().flat_map(|message| message.encode().unwrap()).collect();
        for cut in cuts(&stream) {
            assert_eq!(read(&cut).unwrap(), messages, "{cut:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_detected() {
        let stream = every_type().encode().unwrap();
        for at in 0..stream.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = stream.clone();
                changed[at] ^= change;
                let mut decoder = Decoder::new(500);
                let result = decoder.push(&changed, |message| panic!("{at}: {message:?}"));
                assert!(result.is_err() || !decoder.is_between_messages(), "{at}");
            }
        }
    }

    #[test]
    fn malformed_messages_with_right_checksums_are_refused() {
        let build = |total: u32, headers: u32, rest: &[u8]| {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            bytes.extend(rest);
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            bytes
        };
        for (bytes, expected) in [
            (build(15, 0, b""), StreamError::Length),
            (build(0, 0, b""), StreamError::Length),
            (build(17, 2, b"x"), StreamError::Length),
            (build(20, u32::MAX, b"xxxx"), StreamError::Length),
            (build(501, 0, b""), StreamError::TooLarge),
            (build(u32::MAX, 0, b""), StreamError::TooLarge),
            (build(18, 2, b"\0\0"), StreamError::Header),
            (build(19, 3, b"\x01a\x0a"), StreamError::Header),
            (build(21, 5, b"\x01a\x07\0\x09"), StreamError::Header),
            (build(18, 2, b"\x05a"), StreamError::Header),
            (build(22, 6, b"\x01a\x07\0\x01\xff"), StreamError::Header),
        ] {
            let mut decoder = Decoder::new(500);
            assert_eq!(decoder.push(&bytes, |_| panic!("a message")), Err(expected), "{bytes:?}");
            assert_eq!(decoder.push(&Message::default().encode().unwrap(), |_| panic!("a message")), Err(expected));
        }
    }

    #[test]
    fn bytes_at_random_are_no_message() {
        let mut generator = Generator::new(2);
        for _ in 0..2000 {
            let count = generator.below(60);
            let mut decoder = Decoder::new(500);
            let _ = decoder.push(&generator.bytes(count), |message| panic!("{message:?}"));
        }
    }
}
