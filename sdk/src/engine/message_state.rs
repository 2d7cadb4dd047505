//! The state of one message of a stream between its callbacks.

use crate::engine::held::Held;
use crate::fields::header_map::ContentLength;
use std::cell::Cell;

/// The state of a request or of a response, for callbacks and completions.
#[derive(Debug)]
pub struct MessageState {
    /// `content-length` was removed from the headers.
    length_removed: Cell<bool>,
    /// The headers callback paused the message, so no part of it was forwarded.
    pub(crate) headers_paused: Cell<bool>,
    /// The parts that callbacks and completions pause now.
    held: Cell<Held>,
    /// The body callback has seen the end of the stream.
    pub(crate) ended: Cell<bool>,
    /// The bytes that the host buffers for this filter.
    pub(crate) buffered: Cell<usize>,
}

impl MessageState {
    pub(crate) const fn new() -> Self {
        Self {
            length_removed: Cell::new(false),
            headers_paused: Cell::new(false),
            held: Cell::new(Held::NOTHING),
            ended: Cell::new(false),
            buffered: Cell::new(0),
        }
    }

    pub(crate) fn reset(&self) {
        self.length_removed.set(false);
        self.ended.set(false);
        self.forward();
    }

    pub(crate) fn set_content_length(&self, content_length: ContentLength) {
        self.length_removed.set(matches!(content_length, ContentLength::Removed));
    }

    pub(crate) fn content_length(&self) -> ContentLength {
        if self.length_removed.get() { ContentLength::Removed } else { ContentLength::Kept }
    }

    #[inline]
    pub(crate) fn held(&self) -> Held {
        self.held.get()
    }

    #[inline]
    pub(crate) fn hold(&self, held: Held) {
        self.held.set(held);
    }

    /// The message is forwarded, with everything that was paused and buffered of it.
    #[inline]
    pub(crate) fn forward(&self) {
        self.headers_paused.set(false);
        self.held.set(Held::NOTHING);
        self.buffered.set(0);
    }
}
