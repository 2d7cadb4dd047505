//! Lines in a body that comes in pieces.

use proxy_filter::prelude::*;

/// What there is of a line whose end has not come.
#[derive(Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    longest: usize,
}

impl Lines {
    pub(crate) const fn new(longest: usize) -> Self {
        Self { partial: Vec::new(), longest }
    }

    /// The lines that end in this piece, edited; the rest of it waits for the next one.
    pub(crate) fn push(&mut self, piece: &[u8], edit: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let mut edited = Vec::with_capacity(piece.len());
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if self.partial.len() > self.longest {
                return Err(Error::other(format_args!("a line is longer than {} bytes", self.longest)));
            }
            if let Some(line) = self.partial.strip_suffix(b"\n") {
                edited.extend(edit(line)?);
                edited.push(b'\n');
                self.partial.clear();
            }
        }
        Ok(edited)
    }

    /// The last line, edited, if the body does not end with a line end.
    pub(crate) fn finish(self, edit: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if self.partial.is_empty() { Ok(Vec::new()) } else { edit(&self.partial) }
    }
}
