//! The state of one message of a stream: the only record of it, for callbacks, for completions and
//! for async functions.

use crate::engine::point::Point;
use crate::engine::shared::{Shared, share};
use crate::fields::header_map::ContentLength;
use std::cell::Cell;

/// What is known of a message: a set of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts(u32);

impl Facts {
    pub(crate) const NONE: Self = Self(0);
    /// The headers are paused: a callback has paused them, and they were not resumed since.
    pub(crate) const HEADERS: Self = Self(1);
    /// The same for the body, which the host buffers.
    pub(crate) const BODY: Self = Self(1 << 1);
    /// The same for the trailers.
    pub(crate) const TRAILERS: Self = Self(1 << 2);
    /// Any part is paused.
    pub(crate) const PAUSED: Self = Self::HEADERS.with(Self::BODY).with(Self::TRAILERS);
    /// The headers callback has paused the message, and no part of it was forwarded since.
    pub(crate) const NOT_FORWARDED: Self = Self(1 << 3);
    /// `content-length` was removed from the headers.
    pub(crate) const LENGTH_REMOVED: Self = Self(1 << 4);
    /// The message has ended: with its headers, with data, or with trailers.
    pub(crate) const ENDED: Self = Self(1 << 5);
    /// The message has ended with its headers: it has no body.
    pub(crate) const BODILESS: Self = Self(1 << 6);
    /// The message has ended with trailers.
    pub(crate) const TRAILS: Self = Self(1 << 7);
    /// The trailers are available. Kept for async functions only.
    pub(crate) const TRAILERS_HERE: Self = Self(1 << 8);
    /// Bytes of the body were forwarded. Kept for async functions only.
    pub(crate) const BYTES_FORWARDED: Self = Self(1 << 9);
    /// The request asks for an upgrade. Kept for async functions that await a whole response only.
    pub(crate) const UPGRADE: Self = Self(1 << 10);
    /// The same for a request with the method `CONNECT`.
    pub(crate) const CONNECT: Self = Self(1 << 11);
    /// A completion has resumed the message.
    pub(crate) const RESUMED: Self = Self(1 << 12);
    /// The trailers callback has resumed the message: the host may call the filter for parts that
    /// it has forwarded.
    pub(crate) const FORWARDED_BY_TRAILERS: Self = Self(1 << 13);

    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any of the other facts is among these.
    #[inline]
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The fact that a callback or a function has removed `content-length`.
    #[inline]
    pub(crate) const fn of_length(content_length: ContentLength) -> Self {
        Self::LENGTH_REMOVED.given(matches!(content_length, ContentLength::Removed))
    }

    /// These facts if the condition holds.
    #[inline]
    pub(crate) const fn given(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

/// The state of a request or of a response. The code that runs the callbacks writes it.
#[derive(Debug)]
pub struct MessageState {
    facts: Cell<Facts>,
    /// The number of bytes of the body that the host buffers for this filter. For an async
    /// function, also those of the chunk that a callback shows.
    pub(crate) size: Cell<usize>,
}

impl MessageState {
    pub(crate) const fn new() -> Self {
        Self { facts: Cell::new(Facts::NONE), size: Cell::new(0) }
    }

    /// The message begins. It may replace another one: a local reply follows an upstream's
    /// response.
    #[inline]
    pub(crate) fn begin(&self, end_of_stream: bool) {
        self.facts.set(Facts::ENDED.with(Facts::BODILESS).given(end_of_stream));
        self.size.set(0);
    }

    /// Whether any of these facts is known.
    #[inline]
    pub(crate) fn has(&self, facts: Facts) -> bool {
        self.facts.get().has(facts)
    }

    #[inline]
    pub(crate) fn note(&self, facts: Facts) {
        self.facts.set(self.facts.get().with(facts));
    }

    #[inline]
    pub(crate) fn clear(&self, facts: Facts) {
        self.facts.set(self.facts.get().without(facts));
    }

    /// Records which parts are paused now.
    #[inline]
    pub(crate) fn pause(&self, parts: Facts) {
        self.facts.set(self.facts.get().without(Facts::PAUSED).with(parts));
    }

    #[inline]
    pub(crate) fn note_length(&self, content_length: ContentLength) {
        self.note(Facts::of_length(content_length));
    }

    #[inline]
    pub(crate) fn content_length(&self) -> ContentLength {
        if self.has(Facts::LENGTH_REMOVED) { ContentLength::Removed } else { ContentLength::Kept }
    }

    /// The message is forwarded, with everything that was paused and buffered of it.
    #[inline]
    pub(crate) fn forward(&self) {
        self.clear(Facts::PAUSED.with(Facts::NOT_FORWARDED).with(Facts::TRAILERS_HERE));
        self.size.set(0);
    }

    /// The bytes of the body are forwarded, which an async function must not miss.
    #[inline]
    pub(crate) fn forward_bytes(&self) {
        let bytes = Facts::BYTES_FORWARDED.given(self.size.replace(0) > 0);
        self.facts.set(self.facts.get().without(Facts::BODY).with(bytes));
    }
}

/// A part of a stream that a callback can pause and a completion can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    DownstreamData,
}

impl Part {
    /// Returns whether it is a part of the request, or data from the client of a connection.
    #[inline]
    pub(crate) const fn is_request(self) -> bool {
        !matches!(self, Self::ResponseHeaders | Self::ResponseBody | Self::ResponseTrailers)
    }

    /// The fact that it is paused.
    #[inline]
    pub(crate) const fn paused(self) -> Facts {
        match self {
            Self::RequestHeaders | Self::ResponseHeaders => Facts::HEADERS,
            Self::RequestBody | Self::ResponseBody | Self::DownstreamData => Facts::BODY,
            Self::RequestTrailers | Self::ResponseTrailers => Facts::TRAILERS,
        }
    }
}

/// The two messages of a stream.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) request: MessageState,
    pub(crate) response: MessageState,
}

thread_local! {
    /// The messages of the stream whose context is being created.
    static CREATED: Cell<Option<Shared<Messages>>> = const { Cell::new(None) };
    /// The messages of what has none.
    static NONE: Cell<Option<Shared<Messages>>> = const { Cell::new(None) };
}

impl Messages {
    pub(crate) const fn new() -> Self {
        Self { request: MessageState::new(), response: MessageState::new() }
    }

    /// Two other messages begin.
    #[inline]
    pub(crate) fn reset(&self) {
        self.request.begin(false);
        self.response.begin(false);
    }

    /// The message of this point.
    #[inline]
    pub(crate) fn of(&self, point: Point) -> &MessageState {
        if point.is_request() { &self.request } else { &self.response }
    }

    /// Creates the context of these messages' stream.
    #[inline]
    pub(crate) fn create<T>(messages: Shared<Self>, context: impl FnOnce() -> T) -> T {
        let outer = CREATED.replace(Some(messages));
        let context = context();
        CREATED.set(outer);
        context
    }

    /// The messages of the stream whose context is being created. Places of streams are used again,
    /// and their messages with them.
    #[inline]
    pub(crate) fn created() -> Shared<Self> {
        CREATED.get().unwrap_or_else(|| share(Self::new()))
    }

    /// Messages for what has none, such as the future of a root context.
    pub(crate) fn none() -> Shared<Self> {
        NONE.get().unwrap_or_else(|| {
            let messages = share(Self::new());
            NONE.set(Some(messages));
            messages
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_begins_again_has_no_facts_of_the_one_before() {
        let state = MessageState::new();
        state.begin(true);
        assert!(state.has(Facts::ENDED) && state.has(Facts::BODILESS));
        state.note(Facts::BODY.with(Facts::LENGTH_REMOVED).with(Facts::TRAILS));
        state.size.set(5);
        state.begin(false);
        assert_eq!((state.facts.get(), state.size.get()), (Facts::NONE, 0));
    }

    #[test]
    fn forwarding_ends_every_pause_and_keeps_what_the_message_is() {
        let lasting = Facts::ENDED.with(Facts::BODILESS).with(Facts::TRAILS).with(Facts::LENGTH_REMOVED);
        let state = MessageState::new();
        state.note(lasting.with(Facts::PAUSED).with(Facts::NOT_FORWARDED).with(Facts::TRAILERS_HERE));
        state.size.set(5);
        state.forward();
        assert_eq!((state.facts.get(), state.size.get()), (lasting, 0));
    }

    #[test]
    fn bytes_that_were_forwarded_are_remembered() {
        let state = MessageState::new();
        state.forward_bytes();
        assert!(!state.has(Facts::BYTES_FORWARDED), "there were none");
        state.size.set(5);
        state.note(Facts::BODY);
        state.forward_bytes();
        assert!(state.has(Facts::BYTES_FORWARDED) && !state.has(Facts::PAUSED));
        state.forward();
        assert!(state.has(Facts::BYTES_FORWARDED));
    }

    #[test]
    fn each_part_is_paused_by_itself() {
        let state = MessageState::new();
        state.pause(Facts::BODY.with(Facts::TRAILERS));
        state.clear(Part::ResponseBody.paused());
        assert!(!state.has(Facts::BODY) && state.has(Facts::PAUSED));
        state.clear(Part::RequestTrailers.paused());
        assert!(!state.has(Facts::PAUSED));
    }
}
