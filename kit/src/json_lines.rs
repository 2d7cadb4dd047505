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
}
