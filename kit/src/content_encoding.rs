//! Content codings: `gzip` and `deflate`, decoded and encoded chunk by chunk.
//!
//! ```
//! use proxy_filter_kit::content_encoding::{Coding, Decoder, Encoder};
//!
//! let mut encoder = Encoder::new(Coding::Gzip);
//! let mut encoded = Vec::new();
//! encoder.push(b"a body, ", |bytes| encoded.extend_from_slice(bytes));
//! encoder.push(b"chunk by chunk", |bytes| encoded.extend_from_slice(bytes));
//! encoder.finish(|bytes| encoded.extend_from_slice(bytes));
//!
//! let mut decoder = Decoder::new(Coding::Gzip, 1 << 20); // at most 1 MiB
//! let mut body = Vec::new();
//! for chunk in encoded.chunks(7) {
//!     decoder.push(chunk, |bytes| body.extend_from_slice(bytes)).unwrap();
//! }
//! decoder.finish().unwrap();
//! assert_eq!(body, b"a body, chunk by chunk");
//! ```
//!
//! A decoder stores 43 KiB and 8 KiB of output. An encoder stores about 300 KiB. Both report output
//! in parts of at most 8 KiB, whatever the body expands to.
//!
//! Source: RFC 9110, section 8.4.1; RFC 1950, 1951, 1952.

use core::fmt;
use core::mem;
use crc32fast::Hasher;
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::core::create_comp_flags_from_zip_params;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// The maximum number of bytes that are reported at once.
const PART: usize = 8 * 1024;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `deflate`: the zlib format. The decoder also reads the raw format, which some servers send.
    Deflate,
}

impl Coding {
    /// Returns the coding with a name of `content-encoding`: `gzip`, `x-gzip` or `deflate`, in any
    /// case. Returns `None` for other codings, and for a list of several.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else {
            name.eq_ignore_ascii_case(b"deflate").then_some(Self::Deflate)
        }
    }

    /// Returns the name for `content-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// The reason why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodingError {
    /// The body is not in the coding, or bytes follow its end.
    Malformed,
    /// The checksum or the size at the end is not that of the body.
    Checksum,
    /// The body ends too early.
    Incomplete,
    /// The decoded body is larger than the maximum.
    TooLarge,
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the body is not in its content coding",
            Self::Checksum => "the checksum of the encoded body is wrong",
            Self::Incomplete => "the encoded body ends too early",
            Self::TooLarge => "the decoded body is too large",
        })
    }
}

impl std::error::Error for CodingError {}

/// Decodes one body.
pub struct Decoder {
    max_output: u64,
    output: u64,
    stage: Stage,
    /// Bytes of a header or trailer that is not complete.
    pending: Vec<u8>,
    /// The optional fields of the gzip header that follow.
    fields: u8,
    inflate: Box<InflateState>,
    part: Vec<u8>,
    checksum: Hasher,
    /// The decoded size of this gzip member, modulo 2^32.
    size: u32,
    failed: Option<CodingError>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("stage", &self.stage).field("output", &self.output).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The ten bytes of a gzip header. `true` for the second member and later ones.
    Header(bool),
    ExtraLength,
    Extra(usize),
    Name,
    Comment,
    HeaderChecksum,
    /// The two bytes that tell zlib from raw data.
    Detect,
    /// Compressed data. `true` within gzip.
    Body(bool),
    Trailer,
    End,
}

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;

impl Decoder {
    /// Creates a decoder for a body of at most `max_output` decoded bytes.
    pub fn new(coding: Coding, max_output: u64) -> Self {
        Self {
            max_output,
            output: 0,
            stage: match coding {
                Coding::Gzip => Stage::Header(false),
                Coding::Deflate => Stage::Detect,
            },
            pending: Vec::new(),
            fields: 0,
            inflate: InflateState::new_boxed(DataFormat::Raw),
            part: vec![0; PART],
            checksum: Hasher::new(),
            size: 0,
            failed: None,
        }
    }

    /// Decodes a chunk, and passes the decoded bytes to the closure.
    ///
    /// # Errors
    /// Fails if the body is malformed or too large. Bytes that were decoded before are passed to
    /// the closure. All later calls fail with the same error.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), CodingError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let result = self.decode(chunk, &mut each);
        self.failed = result.err();
        result
    }

    /// Checks that the body is complete. Call it at the end of the stream.
    ///
    /// # Errors
    /// Fails if the body ends too early, or was malformed. A body without any byte is complete.
    pub fn finish(&self) -> Result<(), CodingError> {
        let is_complete = match self.stage {
            Stage::End => true,
            Stage::Header(is_next) => self.pending.is_empty() && (is_next || self.output == 0),
            Stage::Detect => self.pending.is_empty(),
            _ => false,
        };
        match self.failed {
            Some(failed) => Err(failed),
            None if is_complete => Ok(()),
            None => Err(CodingError::Incomplete),
        }
    }

    fn decode(&mut self, chunk: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), CodingError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match self.stage {
                Stage::Header(_) => match self.take(&mut rest, 10).as_deref() {
                    None => b"",
                    Some([0x1f, 0x8b, 8, flags, ..]) if flags & 0xe0 == 0 => {
                        self.fields = *flags;
                        self.next_field();
                        rest
                    }
                    Some(_) => return Err(CodingError::Malformed),
                },
                Stage::ExtraLength => match self.take(&mut rest, 2).as_deref() {
                    Some([low, high]) => {
                        self.stage = Stage::Extra(usize::from(u16::from_le_bytes([*low, *high])));
                        rest
                    }
                    _ => b"",
                },
                Stage::Extra(length) => {
                    let skipped = length.min(rest.len());
                    match length.saturating_sub(skipped) {
                        0 => self.next_field(),
                        left => self.stage = Stage::Extra(left),
                    }
                    rest.get(skipped..).unwrap_or_default()
                }
                Stage::Name | Stage::Comment => match rest.iter().position(|byte| *byte == 0) {
                    Some(end) => {
                        self.next_field();
                        rest.get(end.saturating_add(1)..).unwrap_or_default()
                    }
                    None => b"",
                },
                Stage::HeaderChecksum => {
                    // The checksum at the end covers the data.
                    if self.take(&mut rest, 2).is_some() {
                        self.next_field();
                    }
                    rest
                }
                Stage::Detect => match self.take(&mut rest, 2).as_deref() {
                    Some(start @ [first, second]) => {
                        let is_zlib = first & 15 == 8
                            && first >> 4 <= 7
                            && u16::from_be_bytes([*first, *second]).is_multiple_of(31);
                        self.inflate.reset(if is_zlib { DataFormat::Zlib } else { DataFormat::Raw });
                        self.stage = Stage::Body(false);
                        self.inflate(start, each)?;
                        rest
                    }
                    _ => b"",
                },
                Stage::Body(_) => self.inflate(rest, each)?,
                Stage::Trailer => match self.take(&mut rest, 8).as_deref().and_then(<[u8]>::split_first_chunk::<4>) {
                    Some((checksum, size)) => {
                        let (found, length) = (mem::take(&mut self.checksum), mem::take(&mut self.size));
                        if found.finalize().to_le_bytes() != *checksum || length.to_le_bytes() != *size {
                            return Err(CodingError::Checksum);
                        }
                        self.inflate.reset(DataFormat::Raw);
                        self.stage = Stage::Header(true);
                        rest
                    }
                    None => b"",
                },
                Stage::End => return Err(CodingError::Malformed),
            };
        }
        Ok(())
    }

    /// Takes a number of bytes, also over several chunks. Returns `None` if some are missing.
    fn take(&mut self, rest: &mut &[u8], count: usize) -> Option<Vec<u8>> {
        let missing = count.saturating_sub(self.pending.len()).min(rest.len());
        let (taken, after) = rest.split_at_checked(missing)?;
        self.pending.extend_from_slice(taken);
        *rest = after;
        (self.pending.len() == count).then(|| mem::take(&mut self.pending))
    }

    /// Goes to the next field of the header, or to the data.
    fn next_field(&mut self) {
        let order = [
            (FEXTRA, Stage::ExtraLength),
            (FNAME, Stage::Name),
            (FCOMMENT, Stage::Comment),
            (FHCRC, Stage::HeaderChecksum),
        ];
        let next = order.into_iter().find(|(flag, _)| self.fields & flag != 0);
        self.stage = next.map_or(Stage::Body(true), |(_, stage)| stage);
        self.fields &= !next.map_or(0, |(flag, _)| flag);
    }

    /// Decompresses, and returns the bytes after the compressed data.
    fn inflate<'a>(&mut self, input: &'a [u8], each: &mut impl FnMut(&[u8])) -> Result<&'a [u8], CodingError> {
        let mut rest = input;
        loop {
            let result = inflate(&mut self.inflate, rest, &mut self.part, MZFlush::None);
            rest = rest.get(result.bytes_consumed..).unwrap_or_default();
            let part = self.part.get(..result.bytes_written).unwrap_or_default();
            let size = u64::try_from(part.len()).unwrap_or(u64::MAX);
            self.output = self.output.saturating_add(size);
            if self.output > self.max_output {
                return Err(CodingError::TooLarge);
            }
            if !part.is_empty() {
                if self.stage == Stage::Body(true) {
                    self.checksum.update(part);
                    self.size = self.size.wrapping_add(modulo(part.len()));
                }
                each(part);
            }
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    self.stage = if self.stage == Stage::Body(true) { Stage::Trailer } else { Stage::End };
                    return Ok(rest);
                }
                Ok(_) if rest.is_empty() && result.bytes_written < PART => return Ok(rest),
                Ok(_) => {}
                // There is no more input.
                Err(MZError::Buf) if rest.is_empty() => return Ok(rest),
                Err(_) => return Err(CodingError::Malformed),
            }
        }
    }
}

/// Returns a length modulo 2^32.
fn modulo(length: usize) -> u32 {
    let [a, b, c, d, ..] = u64::try_from(length).unwrap_or_default().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Encodes one body.
pub struct Encoder {
    coding: Coding,
    deflate: Box<CompressorOxide>,
    part: Vec<u8>,
    checksum: Hasher,
    /// The size of the body, modulo 2^32.
    size: u32,
    began: bool,
    ended: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

/// The gzip header of data without a name or a time, of an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

impl Encoder {
    /// Creates an encoder that is fast rather than small: level 3 of 10.
    pub fn new(coding: Coding) -> Self {
        Self::with_level(coding, 3)
    }

    /// Creates an encoder of a level from 0, without compression, to 10, the slowest.
    pub fn with_level(coding: Coding, level: u8) -> Self {
        // A negative number of bits of the window is the raw format.
        let window = if coding == Coding::Gzip { -15 } else { 15 };
        let flags = create_comp_flags_from_zip_params(level.min(10).into(), window, 0);
        Self {
            coding,
            deflate: Box::new(CompressorOxide::new(flags)),
            part: vec![0; PART],
            checksum: Hasher::new(),
            size: 0,
            began: false,
            ended: false,
        }
    }

    /// Encodes a chunk, and passes the encoded bytes to the closure, if there are any. The encoder
    /// keeps bytes to compress them together with later ones: [`flush`](Self::flush) after each
    /// event of a stream that the client reads at once.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) {
        self.encode(chunk, MZFlush::None, &mut each);
    }

    /// Passes all bytes so far to the closure.
    pub fn flush(&mut self, mut each: impl FnMut(&[u8])) {
        self.encode(b"", MZFlush::Sync, &mut each);
    }

    /// Passes the end of the encoded body to the closure. Later calls do nothing.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if self.ended {
            return;
        }
        self.encode(b"", MZFlush::Finish, &mut each);
        self.ended = true;
        if self.coding == Coding::Gzip {
            each(&mem::take(&mut self.checksum).finalize().to_le_bytes());
            each(&self.size.to_le_bytes());
        }
    }

    fn encode(&mut self, chunk: &[u8], flush: MZFlush, each: &mut impl FnMut(&[u8])) {
        if self.ended {
            return;
        }
        if self.coding == Coding::Gzip {
            if !mem::replace(&mut self.began, true) {
                each(&HEADER);
            }
            self.checksum.update(chunk);
            self.size = self.size.wrapping_add(modulo(chunk.len()));
        }
        let mut rest = chunk;
        loop {
            let result = deflate(&mut self.deflate, rest, &mut self.part, flush);
            rest = rest.get(result.bytes_consumed..).unwrap_or_default();
            if let Some(part) = self.part.get(..result.bytes_written).filter(|part| !part.is_empty()) {
                each(part);
            }
            // More output follows only if the part is full.
            if result.status != Ok(MZStatus::Ok) || rest.is_empty() && result.bytes_written < PART {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    fn decode(coding: Coding, max: u64, chunks: &[&[u8]]) -> Result<Vec<u8>, CodingError> {
        let mut decoder = Decoder::new(coding, max);
        let mut body = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |bytes| {
                assert!(bytes.len() <= PART);
                body.extend_from_slice(bytes);
            })?;
        }
        decoder.finish().map(|()| body)
    }

    fn encode(coding: Coding, level: u8, chunks: &[&[u8]], flush: bool) -> Vec<u8> {
        let mut writer = Encoder::with_level(coding, level);
        let mut encoded = Vec::new();
        for chunk in chunks {
            writer.push(chunk, |bytes| encoded.extend_from_slice(bytes));
            if flush {
                writer.flush(|bytes| encoded.extend_from_slice(bytes));
            }
        }
        writer.finish(|bytes| encoded.extend_from_slice(bytes));
        writer.finish(|_| panic!("the body has ended"));
        writer.push(b"x", |_| panic!("the body has ended"));
        encoded
    }

    /// Bodies that gzip 1.12 and Python's zlib have encoded.
    fn encoded_elsewhere() -> Vec<(Coding, Vec<u8>, &'static [u8])> {
        let bytes = |text: &str| -> Vec<u8> {
            text.as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        vec![
            // printf 'hello hello hello\n' | gzip -n
            (Coding::Gzip, bytes("1f8b0800000000000003cb48cdc9c957c840905c003b7c8adf12000000"), b"hello hello hello\n"),
            // zlib.compress(b"hello hello hello\n")
            (Coding::Deflate, bytes("789ccb48cdc9c957c840905c0040b50687"), b"hello hello hello\n"),
            // The same without its header and checksum.
            (Coding::Deflate, bytes("cb48cdc9c957c840905c00"), b"hello hello hello\n"),
            // An empty body.
            (Coding::Gzip, bytes("1f8b080000000000000303000000000000000000"), b""),
            (Coding::Deflate, bytes("789c030000000001"), b""),
            (Coding::Deflate, bytes("0300"), b""),
        ]
    }

    #[test]
    fn bodies_that_others_encoded_are_decoded_wherever_they_are_cut() {
        for (coding, encoded, expected) in encoded_elsewhere() {
            for cut in cuts(&encoded) {
                assert_eq!(decode(coding, 100, &cut).as_deref(), Ok(expected), "{cut:?}");
            }
            for end in 1..encoded.len() {
                let result = decode(coding, 100, &[&encoded[..end]]);
                // A checksum is not part of raw data.
                assert_eq!(result, Err(CodingError::Incomplete), "{end}");
            }
            let more = [&encoded[..], b"x"].concat();
            assert!(decode(coding, 100, &[&more]).is_err());
        }
    }

    #[test]
    fn a_gzip_header_may_have_all_fields_and_a_body_several_members() {
        let plain = encode(Coding::Gzip, 6, &[b"one, "], false);
        let fields = [
            &[0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 0, 3][..],
            &[3, 0],
            b"abc",
            b"name\0",
            b"comment\0",
            &[1, 2],
            &plain[10..],
        ]
        .concat();
        let body = [&fields[..], &plain, &fields].concat();
        for cut in cuts(&body) {
            assert_eq!(decode(Coding::Gzip, 100, &cut).as_deref(), Ok(&b"one, one, one, "[..]));
        }
        let reserved = [&[0x1f, 0x8b, 8, 0x20][..], &plain[4..]].concat();
        assert_eq!(decode(Coding::Gzip, 100, &[&reserved]), Err(CodingError::Malformed));
    }

    #[test]
    fn a_changed_checksum_or_size_is_refused() {
        let encoded = encode(Coding::Gzip, 6, &[b"a body"], false);
        for at in encoded.len() - 8..encoded.len() {
            let mut changed = encoded.clone();
            changed[at] ^= 1;
            assert_eq!(decode(Coding::Gzip, 100, &[&changed]), Err(CodingError::Checksum));
        }
        let mut zlib = encode(Coding::Deflate, 6, &[b"a body"], false);
        *zlib.last_mut().unwrap() ^= 1;
        assert!(decode(Coding::Deflate, 100, &[&zlib]).is_err());
    }

    #[test]
    fn an_encoded_body_is_decoded_to_the_same_bytes() {
        let mut generator = Generator::new(9);
        for round in 0..24 {
            let length = generator.below(if round < 20 { 300 } else { 40_000 });
            let mut body = generator.bytes(length);
            if round % 2 == 0 {
                for byte in &mut body {
                    *byte = b"ab"[usize::from(*byte % 2)];
                }
            }
            let size = 1 + generator.below(body.len().max(1));
            let chunks: Vec<&[u8]> = body.chunks(size).collect();
            for coding in [Coding::Gzip, Coding::Deflate] {
                for level in [0, 1, 3, 255] {
                    let encoded = encode(coding, level, &chunks, round % 3 == 0);
                    let pieces: Vec<&[u8]> = encoded.chunks(1 + generator.below(5000)).collect();
                    assert_eq!(decode(coding, 1 << 30, &pieces), Ok(body.clone()));
                }
            }
        }
    }

    #[test]
    fn flushed_bytes_are_decoded_at_once() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let (mut encoder, mut decoder) = (Encoder::new(coding), Decoder::new(coding, 1 << 20));
            for event in ["data: 1\n\n", "data: 2\n\n"] {
                let (mut sent, mut read) = (Vec::new(), Vec::new());
                encoder.push(event.as_bytes(), |bytes| sent.extend_from_slice(bytes));
                encoder.flush(|bytes| sent.extend_from_slice(bytes));
                decoder.push(&sent, |bytes| read.extend_from_slice(bytes)).unwrap();
                assert_eq!(read, event.as_bytes());
            }
            assert_eq!(decoder.finish(), Err(CodingError::Incomplete));
        }
    }

    #[test]
    fn a_body_that_expands_too_much_is_refused_in_parts() {
        let zeros = vec![0; 4 << 20];
        for coding in [Coding::Gzip, Coding::Deflate] {
            let bomb = encode(coding, 9, &[&zeros], false);
            assert!(bomb.len() < 10_000);
            let mut decoder = Decoder::new(coding, 1 << 20);
            let mut total = 0;
            let result = decoder.push(&bomb, |bytes| {
                assert!(bytes.len() <= PART);
                total += bytes.len();
            });
            assert_eq!((result, total <= 1 << 20), (Err(CodingError::TooLarge), true));
            assert_eq!(decoder.push(b"", |_| {}), Err(CodingError::TooLarge));
            assert_eq!(decoder.finish(), Err(CodingError::TooLarge));
            assert_eq!(decode(coding, 4 << 20, &[&bomb]).map(|body| body.len()), Ok(4 << 20));
        }
    }

    #[test]
    fn random_bytes_never_make_the_decoder_panic() {
        let mut generator = Generator::new(10);
        for _ in 0..2000 {
            for coding in [Coding::Gzip, Coding::Deflate] {
                let mut encoded = encode(coding, 3, &[b"some body with some text"], false);
                let at = generator.below(encoded.len());
                encoded[at] = encoded[at].wrapping_add(u8::try_from(generator.below(255)).unwrap());
                let _ = decode(coding, 1000, &encoded.chunks(1 + generator.below(9)).collect::<Vec<_>>());
                let bytes = generator.bytes(20);
                let _ = decode(coding, 1000, &[&bytes]);
            }
        }
    }

    #[test]
    fn codings_are_known_by_their_names() {
        for (name, expected) in [
            ("gzip", Some(Coding::Gzip)),
            (" X-GZip ", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("br", None),
            ("gzip, gzip", None),
            ("", None),
        ] {
            assert_eq!(Coding::from_name(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(Coding::from_name(Coding::Deflate.name().as_bytes()), Some(Coding::Deflate));
    }

    #[test]
    fn a_missing_body_is_complete() {
        assert_eq!(decode(Coding::Gzip, 0, &[]), Ok(Vec::new()));
        assert_eq!(decode(Coding::Deflate, 0, &[b""]), Ok(Vec::new()));
    }
}
