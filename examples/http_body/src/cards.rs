//! Card numbers in a body that arrives in chunks.

use proxy_filter::prelude::*;

/// Runs of digits of these lengths are card numbers.
const CARD_DIGITS: core::ops::RangeInclusive<usize> = 13..=19;
/// The number of last digits that are not redacted.
const SHOWN_DIGITS: usize = 4;
/// The host buffers chunks up to this length. Above it, `Cards` stores the digits at the end
/// itself.
const MOST_BUFFERED: usize = 64 * 1024;
/// The number of bytes that suffice to detect UTF-16 and UTF-32.
const START: usize = 4;

/// The decision about the visible bytes.
pub(crate) enum Step {
    /// Buffer them until the next chunk, because the digits at the end may continue there.
    Buffer,
    /// Forward these bytes instead.
    Forward(Vec<u8>),
}

/// The state of a body.
#[derive(Debug, Default)]
pub(crate) struct Cards {
    /// The start of the body has been seen.
    started: bool,
    /// Stored digits between the forwarded and the visible bytes.
    open: Vec<u8>,
    /// The forwarded bytes end with a run of digits that is too long for a number.
    in_long_run: bool,
}

impl Cards {
    /// Processes the visible bytes: those that the host has buffered, and a chunk.
    pub(crate) fn push(&mut self, visible: &[u8], end_of_stream: bool) -> Result<Step> {
        if !self.started {
            if visible.len() < START && !end_of_stream {
                return Ok(Step::Buffer);
            }
            if is_wide(visible) {
                return Err(Error::other("the body is in UTF-16 or UTF-32, where no card number can be found"));
            }
            self.started = true;
        }
        let mut text = [&self.open, visible].concat();
        let open = if end_of_stream { 0 } else { self.open_digits(&text) };
        if open > 0 && visible.len() < MOST_BUFFERED {
            return Ok(Step::Buffer);
        }
        self.open = text.split_off(text.len() - open);
        let redacted = redact(&text, self.in_long_run);
        self.in_long_run = digits_at_end(&text) > *CARD_DIGITS.end() || self.in_long_run && is_digits(&text);
        Ok(Step::Forward(redacted))
    }

    /// Returns the number of digits at the end that may be the start of a card number.
    fn open_digits(&self, text: &[u8]) -> usize {
        match digits_at_end(text) {
            run if run > *CARD_DIGITS.end() || self.in_long_run && run == text.len() => 0,
            run => run,
        }
    }
}

/// Replaces the hidden digits with stars. Digits at the start may belong to a run that is too long
/// for a card number.
pub(crate) fn redact(text: &[u8], in_long_run: bool) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(text.len());
    for run in text.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        let goes_on = in_long_run && redacted.is_empty();
        let card = CARD_DIGITS.contains(&run.len()) && is_digits(run) && !goes_on;
        let hidden = if card { run.len() - SHOWN_DIGITS } else { 0 };
        redacted.resize(redacted.len() + hidden, b'*');
        redacted.extend_from_slice(run.get(hidden..).unwrap_or_default());
    }
    redacted
}

fn is_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

fn digits_at_end(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether a body starts as text with several bytes for each digit. It then has a byte-order mark
/// of UTF-16 or UTF-32, or two ASCII characters in UTF-16.
fn is_wide(text: &[u8]) -> bool {
    match text {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, 0, 0xfe, 0xff, ..] => true,
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] => *a != 0 && *b != 0,
        _ => false,
    }
}
