//! JSON lines (NDJSON): one value in each line, parsed chunk by chunk.
//!
//! ```
//! use proxy_filter_kit::json_lines::Lines;
//!
//! let mut lines = Lines::new(64 * 1024);
//! let mut values = Vec::new();
//! for chunk in [&b"{\"a\":1}\r\n{\"a\""[..], b":2}\n\n{\"a\":3}"] {
//!     lines.push(chunk, |line| values.push(line.to_vec()));
//! }
//! values.extend(lines.finish());
//! assert_eq!(values, [b"{\"a\":1}", b"{\"a\":2}", b"{\"a\":3}"]);
//! ```

use core::fmt;

/// Splits chunks of any size into lines. A line is reported in the chunk that completes it.
///
/// Lines end with LF or CRLF. Lines of only spaces are skipped. Stores at most `max_line` bytes,
/// and none while lines do not span chunks.
#[derive(Clone, Debug)]
pub struct Lines {
    max_line: usize,
    line: Vec<u8>,
    skipping: bool,
    skipped: u64,
}

impl Lines {
    /// Creates a reader for lines of at most `max_line` bytes. Longer lines are skipped.
    pub fn new(max_line: usize) -> Self {
        Self { max_line, line: Vec::new(), skipping: false, skipped: 0 }
    }

    /// Reads a chunk, and calls the closure for each line that it completes, without the line end.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) {
        let mut parts = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let is_ended = parts.peek().is_some();
            if !self.skipping && self.line.len().saturating_add(part.len()) > self.max_line.saturating_add(1) {
                (self.skipping, self.line) = (true, Vec::new());
                self.skipped = self.skipped.saturating_add(1);
            }
            match (self.skipping, is_ended) {
                (true, _) => self.skipping = !is_ended,
                (false, true) if self.line.is_empty() => self.report(part, &mut each),
                (false, _) => {
                    self.line.extend_from_slice(part);
                    if is_ended {
                        let line = core::mem::take(&mut self.line);
                        self.report(&line, &mut each);
                    }
                }
            }
        }
    }

    /// Returns the last line, if the stream ended without a line break after it.
    pub fn finish(self) -> Option<Vec<u8>> {
        let line = self.line.trim_ascii();
        (!line.is_empty() && line.len() <= self.max_line).then(|| line.to_vec())
    }

    /// Returns the number of lines that exceeded the limit, except those that
    /// [`finish`](Self::finish) drops.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn report(&mut self, line: &[u8], each: &mut impl FnMut(&[u8])) {
        // The limit does not include the carriage return.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max_line {
            self.skipped = self.skipped.saturating_add(1);
        } else if !line.trim_ascii().is_empty() {
            each(line);
        }
    }
}

/// The reason why a [`LineEditor`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError<E> {
    /// A line is longer than this number of bytes.
    TooLong(usize),
    /// The closure's error.
    Edit(E),
}

impl<E: fmt::Display> fmt::Display for LineError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(max_line) => write!(f, "a line is longer than {max_line} bytes"),
            Self::Edit(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for LineError<E> {}

/// Edits the lines of a body while it passes. Each chunk yields the lines that end in it.
///
/// Unlike [`Lines`], it loses nothing: line ends and empty lines stay, and a line that is too long
/// is an error. A byte-order mark before the first line is removed, because JSON has none. Stores
/// at most `max_line` bytes.
///
/// ```
/// use proxy_filter_kit::json_lines::LineEditor;
///
/// let upper = |line: &[u8]| Ok::<_, ()>(line.to_ascii_uppercase());
/// let mut lines = LineEditor::new(64 * 1024);
/// assert_eq!(lines.push(b"a\n\nb", upper), Ok(b"A\n\n".to_vec()));
/// assert_eq!(lines.push(b"c\nd", upper), Ok(b"BC\n".to_vec()));
/// assert_eq!(lines.finish(upper), Ok(b"D".to_vec()));
/// ```
#[derive(Clone, Debug)]
pub struct LineEditor {
    max_line: usize,
    line: Vec<u8>,
    /// No line has been edited yet.
    at_start: bool,
}

impl LineEditor {
    /// Creates an editor for one body, with lines of at most `max_line` bytes.
    pub const fn new(max_line: usize) -> Self {
        Self { max_line, line: Vec::new(), at_start: true }
    }

    /// Returns the lines that end in this chunk, edited, with their line ends. The rest is stored
    /// until the next chunk. The closure receives a line without its line feed, and a carriage
    /// return before that is part of the line.
    ///
    /// # Errors
    /// Fails with the closure's error, or for a line that is too long. Then reset the stream,
    /// because the body is incomplete.
    pub fn push<E>(
        &mut self,
        chunk: &[u8],
        mut edit: impl FnMut(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, LineError<E>> {
        let mut edited = Vec::with_capacity(chunk.len());
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            if self.line.len().saturating_add(text.len()) > self.max_line {
                return Err(LineError::TooLong(self.max_line));
            }
            let is_ended = text.len() < part.len();
            if is_ended && self.line.is_empty() {
                edited.extend(self.edit(text, &mut edit).map_err(LineError::Edit)?);
                edited.push(b'\n');
                continue;
            }
            self.line.extend_from_slice(text);
            if is_ended {
                let line = core::mem::take(&mut self.line);
                edited.extend(self.edit(&line, &mut edit).map_err(LineError::Edit)?);
                edited.push(b'\n');
            }
        }
        Ok(edited)
    }

    /// Returns the last line, edited, if the body does not end with a line feed.
    ///
    /// # Errors
    /// Fails with the closure's error.
    pub fn finish<E>(mut self, mut edit: impl FnMut(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let line = core::mem::take(&mut self.line);
        if line.is_empty() { Ok(Vec::new()) } else { self.edit(&line, &mut edit) }
    }

    fn edit<E>(&mut self, line: &[u8], edit: &mut impl FnMut(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let is_first = core::mem::replace(&mut self.at_start, false);
        let mark = if is_first { line.strip_prefix("\u{feff}".as_bytes()) } else { None };
        edit(mark.unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cuts;

    #[test]
    fn lines_do_not_depend_on_chunk_boundaries() {
        for (stream, expected, skipped) in [
            ("", &[][..], 0),
            ("a", &["a"], 0),
            ("a\n", &["a"], 0),
            ("a\r\nb\n\n \r\nc", &["a", "b", "c"], 0),
            ("12345678\r\n123456789\n12345678\n", &["12345678", "12345678"], 1),
            ("1234567890123\nb\n1234567890\r\n", &["b"], 2),
            ("a\rb\n", &["a\rb"], 0),
            ("\u{e9}\n\u{e9}", &["\u{e9}", "\u{e9}"], 0),
            ("123456789", &[], 0),
        ] {
            for cut in cuts(stream.as_bytes()) {
                let mut lines = Lines::new(8);
                let mut found = Vec::new();
                for chunk in &cut {
                    lines.push(chunk, |line| found.push(String::from_utf8(line.to_vec()).unwrap()));
                    assert!(lines.line.len() <= 9);
                }
                assert_eq!(lines.skipped(), skipped, "{cut:?}");
                found.extend(lines.finish().map(|line| String::from_utf8(line).unwrap()));
                assert_eq!(found, expected, "{cut:?}");
            }
        }
    }
    #[test]
    fn edited_lines_do_not_depend_on_chunk_boundaries() {
        let wrap = |line: &[u8]| Ok::<_, ()>([b"<", line, b">"].concat());
        for (stream, expected) in [
            ("", Ok("")),
            ("a", Ok("<a>")),
            ("\n\r\n", Ok("<>\n<\r>\n")),
            ("a\nb", Ok("<a>\n<b>")),
            ("\u{feff}a\n\u{feff}", Ok("<a>\n<\u{feff}>")),
            ("12345678\n12345678", Ok("<12345678>\n<12345678>")),
            ("123456789", Err(LineError::TooLong(8))),
            ("1\n123456789\n", Err(LineError::TooLong(8))),
        ] {
            for cut in cuts(stream.as_bytes()) {
                let mut lines = LineEditor::new(8);
                let mut edited = Ok(Vec::new());
                for chunk in &cut {
                    let more = lines.push(chunk, wrap);
                    assert!(lines.line.len() <= 8);
                    edited = edited.and_then(|edited| Ok([edited, more?].concat()));
                }
                let edited =
                    edited.and_then(|edited| Ok([edited, lines.finish(wrap).map_err(LineError::Edit)?].concat()));
                assert_eq!(edited, expected.map(|text| text.as_bytes().to_vec()), "{cut:?}");
            }
        }
    }
}
