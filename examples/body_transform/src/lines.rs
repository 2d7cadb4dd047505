//! Lines of a body that arrives in chunks.

use proxy_filter::prelude::*;

/// The state of a line whose end has not arrived.
#[derive(Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    longest: usize,
    /// No line has been edited yet.
    at_start: bool,
}

impl Lines {
    pub(crate) const fn new(longest: usize) -> Self {
        Self { partial: Vec::new(), longest, at_start: true }
    }

    /// Returns the lines that end in this chunk, edited. The rest is stored until the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8], edit: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let mut edited = Vec::with_capacity(chunk.len());
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if self.partial.len() > self.longest {
                return Err(Error::other(format_args!("a line is longer than {} bytes", self.longest)));
            }
            if part.ends_with(b"\n") {
                edited.extend(self.take_line(&edit)?);
                edited.push(b'\n');
            }
        }
        Ok(edited)
    }

    /// Returns the last line, edited, if the body does not end with a line end.
    pub(crate) fn finish(mut self, edit: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if self.partial.is_empty() { Ok(Vec::new()) } else { self.take_line(&edit) }
    }

    fn take_line(&mut self, edit: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let mut line = self.partial.strip_suffix(b"\n").unwrap_or(&self.partial);
        if self.at_start {
            // JSON has no byte-order mark, but some servers send one.
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        let edited = edit(line)?;
        self.partial.clear();
        self.at_start = false;
        Ok(edited)
    }
}
