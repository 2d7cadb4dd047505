//! Multipart bodies (`multipart/form-data` and others), parsed chunk by chunk.
//!
//! ```
//! use proxy_filter_kit::multipart::{Event, Reader, boundary};
//!
//! let boundary = boundary(b"multipart/form-data; boundary=XX").unwrap();
//! let mut reader = Reader::new(&boundary, 8 * 1024).unwrap();
//! let mut files = Vec::new();
//! let body = b"--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.exe\"\r\n\r\nMZ\r\n--XX--\r\n";
//! for chunk in body.chunks(7) {
//!     reader.push(chunk, |event| {
//!         if let Event::Part(part) = event {
//!             files.extend(part.file_name());
//!         }
//!     }).unwrap();
//! }
//! assert_eq!(files, [b"a.exe"]);
//! assert!(reader.is_complete());
//! ```
//!
//! Source: RFC 2046, section 5.1; RFC 7578.

use crate::request::MediaType;
use core::fmt;

/// Returns the boundary in a `content-type`, if it is a multipart type.
pub fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let media_type = MediaType::parse(content_type)?;
    media_type.kind().eq_ignore_ascii_case(b"multipart").then(|| media_type.parameter("boundary"))?
}

/// The fault of a body that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// The boundary is empty, longer than 70 bytes, ends with a space, or has a character that
    /// boundaries must not have.
    Boundary,
    /// The headers of a part exceed the limit.
    HeadersTooLarge,
    /// A header has no name, or a boundary is not followed by the end of the line.
    Malformed,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boundary => "the boundary of the multipart body is malformed",
            Self::HeadersTooLarge => "the headers of a part of the multipart body exceed the limit",
            Self::Malformed => "the multipart body is malformed",
        })
    }
}

impl std::error::Error for MultipartError {}

/// The headers of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Names in lower case, and values, in their order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Part {
    /// Returns the first value of a header. Pass its name in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, _)| found == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// Returns the name of the field in the form.
    pub fn name(&self) -> Option<Vec<u8>> {
        self.disposition("name")
    }

    /// Returns the name of the file, as the client sent it. It may be a path, or any bytes.
    ///
    /// Servers interpret unusual names differently. Refuse a part with `filename*` or with several
    /// names if a rule depends on the name.
    pub fn file_name(&self) -> Option<Vec<u8>> {
        self.disposition("filename")
    }

    fn disposition(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.header("content-disposition")?;
        // Its parameters have the syntax of media type parameters.
        let start = value.iter().position(|byte| *byte == b';')?;
        MediaType::parse(&[b"x/x", value.get(start..)?].concat())?.parameter(name)
    }
}

/// An event of the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A part begins. The value is all its headers.
    Part(Part),
    /// Bytes of the part, once they are known not to be a boundary.
    Data(&'a [u8]),
    /// The part has ended.
    PartEnd,
    /// The last part has ended. The rest of the body is ignored.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    AfterBoundary,
    Headers,
    Data,
    End,
    Failed(MultipartError),
}

/// Parses the parts of one body from chunks of any size.
///
/// Stores at most `max_headers` bytes, a boundary, and the chunk while it is parsed.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The boundary with the line break and the hyphens before it.
    delimiter: Vec<u8>,
    max_headers: usize,
    state: State,
    buffer: Vec<u8>,
}

impl Reader {
    /// Creates a parser for a body with this boundary. The headers of a part may have at most
    /// `max_headers` bytes.
    ///
    /// # Errors
    /// Fails if the boundary is malformed.
    pub fn new(boundary: &[u8], max_headers: usize) -> Result<Self, MultipartError> {
        let is_fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(b" ") || !boundary.iter().all(is_fine) {
            return Err(MultipartError::Boundary);
        }
        let delimiter = [b"\r\n--", boundary].concat();
        // The first boundary may be at the beginning of the body, as if a line ended before it.
        Ok(Self { delimiter, max_headers, state: State::Preamble, buffer: b"\r\n".to_vec() })
    }

    /// Parses a chunk, and calls the closure for each event that it completes.
    ///
    /// # Errors
    /// Fails if the body is malformed, or the headers of a part are too large. Each later call
    /// returns the same error.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), MultipartError> {
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.extend_from_slice(chunk);
        let mut rest = buffer.as_slice();
        let result = loop {
            match self.step(&mut rest, &mut each) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(why) => {
                    self.state = State::Failed(why);
                    rest = &[];
                    break Err(why);
                }
            }
        };
        self.buffer = rest.to_vec();
        result
    }

    /// Whether the last boundary was parsed. A body that ends earlier was truncated.
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Parses as much as possible, and returns whether there may be more.
    fn step(&mut self, rest: &mut &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<bool, MultipartError> {
        let bytes = *rest;
        match self.state {
            State::Failed(why) => return Err(why),
            State::End => {
                *rest = &[];
                return Ok(false);
            }
            State::Preamble | State::Data => {
                let found = find(bytes, &self.delimiter);
                let end = found.unwrap_or_else(|| partial(bytes, &self.delimiter));
                let (data, after) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                let in_part = self.state == State::Data;
                if in_part && !data.is_empty() {
                    each(Event::Data(data));
                }
                *rest = after;
                if found.is_none() {
                    return Ok(false);
                }
                *rest = after.get(self.delimiter.len()..).unwrap_or_default();
                if in_part {
                    each(Event::PartEnd);
                }
                self.state = State::AfterBoundary;
            }
            State::AfterBoundary => {
                if bytes.starts_with(b"--") {
                    self.state = State::End;
                    each(Event::End);
                    return Ok(true);
                }
                let padding = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                match bytes.get(padding..).unwrap_or_default() {
                    _ if padding > self.max_headers => return Err(MultipartError::Malformed),
                    [b'\r', b'\n', ..] => self.state = State::Headers,
                    [] | [b'\r' | b'-'] => return Ok(false),
                    _ => return Err(MultipartError::Malformed),
                }
                // The line break is kept: an empty line after it ends the headers.
                *rest = bytes.get(padding..).unwrap_or_default();
            }
            State::Headers => {
                let found = find(bytes, b"\r\n\r\n");
                // Without an end, the headers have at least these bytes.
                let end = found.unwrap_or_else(|| partial(bytes, b"\r\n\r\n"));
                if end > self.max_headers {
                    return Err(MultipartError::HeadersTooLarge);
                }
                if found.is_none() {
                    return Ok(false);
                }
                let (headers, after) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                each(Event::Part(part(headers)?));
                self.state = State::Data;
                *rest = after.get(4..).unwrap_or_default();
            }
        }
        Ok(true)
    }
}

/// The lines of headers, each with a line break before it.
fn part(headers: &[u8]) -> Result<Part, MultipartError> {
    let mut part = Part::default();
    let mut rest = headers;
    while let Some(line) = rest.strip_prefix(b"\r\n") {
        let end = find(line, b"\r\n").unwrap_or(line.len());
        let (line, after) = line.split_at_checked(end).unwrap_or((line, &[]));
        rest = after;
        if let ([b' ' | b'\t', ..], Some((_, value))) = (line, part.headers.last_mut()) {
            // A header that continues in the next line.
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().ok_or(MultipartError::Malformed)?);
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(MultipartError::Malformed);
        }
        part.headers.push((name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
    }
    Ok(part)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from.saturating_add(rest.iter().position(|byte| byte == first)?);
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at.saturating_add(1);
    }
}

/// Returns the position at the end where the beginning of the text may be.
fn partial(bytes: &[u8], wanted: &[u8]) -> usize {
    let first = bytes.len().saturating_sub(wanted.len().saturating_sub(1));
    (first..bytes.len()).find(|at| bytes.get(*at..).is_some_and(|end| wanted.starts_with(end))).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Generator, cuts};

    /// Parts as `headers|data`, and whether the body was complete.
    fn read(chunks: &[&[u8]]) -> Result<(Vec<String>, bool), MultipartError> {
        let mut reader = Reader::new(b"XX", 100)?;
        let (mut parts, mut ended) = (Vec::new(), 0);
        for chunk in chunks {
            reader.push(chunk, |event| match event {
                Event::Part(part) => {
                    let lines: Vec<Vec<u8>> =
                        part.headers.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect();
                    parts.push(format!("{}|", String::from_utf8(lines.join(&b","[..])).unwrap()).into_bytes());
                }
                Event::Data(data) => parts.last_mut().unwrap().extend_from_slice(data),
                Event::PartEnd | Event::End => ended += 1,
            })?;
            assert!(reader.buffer.len() <= 106, "{}", reader.buffer.len());
        }
        assert!(!reader.is_complete() || ended == parts.len() + 1, "each part ends, and the body");
        Ok((parts.into_iter().map(|part| String::from_utf8_lossy(&part).into_owned()).collect(), reader.is_complete()))
    }

    #[test]
    fn parts_do_not_depend_on_chunk_boundaries() {
        for (body, expected) in [
            ("--XX\r\nA: b\r\n\r\ndata\r\n--XX--\r\n", &["a=b|data"][..]),
            ("--XX\r\n\r\n\r\n--XX--", &["|"]),
            ("preamble\r\n--XX \t\r\na:1\r\nB :2\r\n\r\n1\r\n--XX\r\n\r\n2\r\n--XX--epilogue\r\n--XX\r\n", &[]),
            (
                "preamble\r\n--XX \t\r\na:1\r\nB:2\r\n\r\n1\r\n--XX\r\n\r\n2\r\n--XX--epilogue\r\n--XX\r\n",
                &["a=1,b=2|1", "|2"],
            ),
            ("--XX\r\n\r\n\r\n\r\n--X\r\n-\r\n--\r\n\r\n--XX--", &["|\r\n\r\n--X\r\n-\r\n--\r\n"]),
            ("--XX\r\na: b;\r\n  c\r\n\r\n--XX--\n\r--XX\r\n--XX--", &["a=b; c|--XX--\n\r--XX"]),
        ] {
            for cut in cuts(body.as_bytes()) {
                match read(&cut) {
                    Ok(parts) => {
                        let expected = expected.iter().map(|part| (*part).to_owned()).collect();
                        assert_eq!(parts, (expected, true), "{cut:?}");
                    }
                    Err(why) => assert_eq!((why, expected.len()), (MultipartError::Malformed, 0), "{cut:?}"),
                }
            }
        }
    }

    #[test]
    fn random_data_is_unchanged() {
        let mut generator = Generator::new(6);
        for _ in 0..200 {
            let count = generator.below(40);
            let data: Vec<u8> = (0..count)
                .flat_map(|_| generator.pick(&[&b"\r\n"[..], b"--", b"X", b"\r", b"\0", b"\xff"]).to_vec())
                .collect();
            if find(&data, b"\r\n--XX").is_some() || data.starts_with(b"--XX") {
                continue;
            }
            let body = [b"--XX\r\n\r\n", &data[..], b"\r\n--XX--"].concat();
            for size in [1, 3, 100] {
                let (parts, is_complete) = read(&body.chunks(size).collect::<Vec<_>>()).unwrap();
                assert_eq!(
                    (parts, is_complete),
                    (vec![format!("|{}", String::from_utf8_lossy(&data))], true),
                    "{data:?}"
                );
            }
        }
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let large = format!("--XX\r\na: {}", "x".repeat(200));
        for (body, expected) in [
            ("--XXY\r\n", Err(MultipartError::Malformed)),
            ("--XX\r\na\r\n\r\n", Err(MultipartError::Malformed)),
            ("--XX\r\n: b\r\n\r\n", Err(MultipartError::Malformed)),
            ("--XX\r\na b: c\r\n\r\n", Err(MultipartError::Malformed)),
            (large.as_str(), Err(MultipartError::HeadersTooLarge)),
            ("--XX\r\n\r\ncut off", Ok(false)),
            ("no boundary", Ok(false)),
            ("", Ok(false)),
        ] {
            for cut in cuts(body.as_bytes()) {
                assert_eq!(read(&cut).map(|(_, is_complete)| is_complete), expected, "{body}");
            }
        }
    }

    #[test]
    fn boundaries_are_found_and_checked() {
        assert_eq!(boundary(b"Multipart/Mixed; charset=x; Boundary=\"a b\"").as_deref(), Some(&b"a b"[..]));
        assert_eq!(boundary(b"text/plain; boundary=a"), None);
        assert_eq!(boundary(b"multipart/form-data"), None);
        for odd in [&b""[..], b"a ", b"a\r\nb", b"\xe9", &[b'a'; 71]] {
            assert_eq!(Reader::new(odd, 9).unwrap_err(), MultipartError::Boundary);
        }
    }

    #[test]
    fn names_of_fields_and_files_are_read() {
        for (header, name, file) in [
            ("form-data; name=\"a\"; filename=\"x;y.txt\"", Some("a"), Some("x;y.txt")),
            ("form-data; NAME=a", Some("a"), None),
            ("form-data", None, None),
            ("attachment; filename=\"a\\\"b\"", None, Some("a\"b")),
        ] {
            let part = Part { headers: vec![(b"content-disposition".to_vec(), header.into())] };
            assert_eq!((part.name(), part.file_name()), (name.map(Vec::from), file.map(Vec::from)), "{header}");
        }
    }
    #[test]
    fn limits_do_not_depend_on_chunk_boundaries() {
        for (padding, header, expected) in [
            (0, 98, Ok((vec!["a=".to_owned() + &"x".repeat(96) + "|y"], true))),
            (0, 99, Err(MultipartError::HeadersTooLarge)),
            (100, 9, Ok((vec!["a=".to_owned() + &"x".repeat(7) + "|y"], true))),
            (101, 9, Err(MultipartError::Malformed)),
        ] {
            let (padding, value) = (" ".repeat(padding), "x".repeat(header - 2));
            let body = format!("--XX{padding}\r\na:{value}\r\n\r\ny\r\n--XX--");
            for cut in cuts(body.as_bytes()) {
                assert_eq!(read(&cut), expected, "{cut:?}");
            }
        }
    }
}
