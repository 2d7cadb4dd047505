//! The position of a stream, and what its future waits for.

use crate::engine::declared;
use crate::engine::executor::Handle;
use crate::engine::message_state::{Facts, MessageState, Messages};
use crate::engine::point::{Point, Points};
use crate::engine::shared::Shared;
use crate::error::denial::Denial;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::fields::header_map::ContentLength;
use crate::host::stream_info;
use crate::http::body::Body;
use core::future::poll_fn;
use core::task::Poll;
use std::cell::Cell;

/// What a pending future waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing of the stream, which is paused.
    Nothing,
    /// A point, or the next chunk of the body there: everything before it is forwarded.
    Point(Point),
    /// The whole body of that point. If the point is headers, it is the body that follows them, and
    /// the headers are paused.
    Whole(Point),
}

/// The stage of a future, as the exchange has it.
pub(crate) type StageHandle = Handle<Result<()>, Stage>;

/// The state that a stream's callbacks and its future share.
pub(crate) struct Stage {
    points: Cell<Points>,
    /// The position of the stream.
    here: Cell<Point>,
    /// The position of the future: the last point that it has awaited. It never moves back.
    asked: Cell<Point>,
    /// The future was notified that the response began before it had received the whole request.
    early: Cell<bool>,
    /// Nothing more of the request is forwarded.
    drops: Cell<bool>,
    wanted: Cell<Wanted>,
    /// The state of the stream's messages, which its callbacks write.
    messages: Cell<Shared<Messages>>,
    request: Reading,
    response: Reading,
    denial: Cell<Option<Denial>>,
}

impl core::fmt::Debug for Stage {
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stage").field("here", &self.here).field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What the future has received of a message.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The number of visible bytes that the future has seen: 0 once they were forwarded.
    seen: Cell<usize>,
    /// The current chunk was not passed to the future yet.
    pub(crate) fresh: Cell<bool>,
    /// The future has received the headers together with the body.
    pub(crate) with_headers: Cell<bool>,
    /// The future was notified that there is no body, by a host that did not send its end.
    pub(crate) told_empty: Cell<bool>,
}

impl Reading {
    /// Resets it for another message in the place of this one.
    fn reset(&self) {
        self.forward();
        self.with_headers.set(false);
        self.told_empty.set(false);
    }

    /// What the future has seen was forwarded.
    #[inline]
    fn forward(&self) {
        self.seen.set(0);
        self.fresh.set(false);
    }
}

impl Stage {
    #[inline]
    pub(crate) fn new(points: Points, messages: Shared<Messages>) -> Self {
        Self {
            points: Cell::new(points),
            here: Cell::new(Point::Created),
            asked: Cell::new(Point::Created),
            early: Cell::new(false),
            drops: Cell::new(false),
            wanted: Cell::new(Wanted::Point(Point::RequestHeaders)),
            messages: Cell::new(messages),
            request: Reading::default(),
            response: Reading::default(),
            denial: Cell::new(None),
        }
    }

    /// Resets it for another future.
    #[inline]
    pub(crate) fn begin_again(&self, points: Points, messages: Shared<Messages>) {
        self.points.set(points);
        self.here.set(Point::Created);
        self.asked.set(Point::Created);
        self.early.set(false);
        self.drops.set(false);
        self.wanted.set(Wanted::Point(Point::RequestHeaders));
        self.messages.set(messages);
        self.request.reset();
        self.response.reset();
        self.denial.set(None);
    }

    #[inline]
    pub(crate) fn here(&self) -> Point {
        self.here.get()
    }

    #[inline]
    pub(crate) fn asked(&self) -> Point {
        self.asked.get()
    }

    /// Records that the future awaits a point, or has received it.
    #[inline]
    pub(crate) fn note_asked(&self, point: Point) {
        self.asked.set(point);
    }

    /// Returns whether the rest of this message must not be forwarded: the future still awaits
    /// parts of the request, and was notified that the response had begun.
    #[inline]
    pub(crate) fn drops(&self, point: Point) -> bool {
        point.is_request() && self.drops.get()
    }

    /// Returns whether the future was notified that this message does not continue.
    #[inline]
    pub(super) fn is_early(&self, point: Point) -> bool {
        point.is_request() && self.early.get()
    }

    /// Forwards the rest of the request in spite of that.
    #[inline]
    pub(crate) fn forward_request(&self) {
        self.drops.set(false);
    }

    #[inline]
    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted.get()
    }

    #[inline]
    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.set(wanted);
    }

    /// Records what a future of the stream waits for.
    pub(crate) fn stay<T>(&self, wanted: Wanted) -> Poll<T> {
        self.want(wanted);
        Poll::Pending
    }

    /// The message of this point.
    #[inline]
    pub(crate) fn message(&self, point: Point) -> &MessageState {
        self.messages.get().of(point)
    }

    /// What the future has received of this point's message.
    #[inline]
    pub(crate) fn reading(&self, point: Point) -> &Reading {
        if point.is_request() { &self.request } else { &self.response }
    }

    /// The stream has ended. An `Exchange` that an author has kept beyond it must not reach the
    /// messages, which belong to another stream next.
    #[inline]
    pub(crate) fn end(&self) {
        self.asked.set(Point::Log);
    }

    /// Records what the future did to the length of a message.
    #[inline]
    pub(crate) fn note_length(&self, point: Point, content_length: ContentLength) {
        if self.asked() != Point::Log {
            self.message(point).note_length(content_length);
        }
    }

    /// Records where the last chunk ends after the future's edits. A chunk that was forwarded while
    /// the future waited for the next one is no part of what is visible.
    ///
    /// `measures` if the size may be that before the edits: the callback of trailers, unlike
    /// one with data, does not say how much is buffered.
    #[inline]
    pub(crate) fn note_end(&self, point: Point, body: &Body, measures: bool) {
        let reading = self.reading(point);
        let seen = reading.seen.get();
        if seen == 0 || self.asked() == Point::Log {
            return;
        }
        let end = body.end();
        reading.seen.set(end);
        if measures && end != seen {
            self.message(point).size.set(body.measure());
        }
    }

    /// The same before the next chunk, which trailers may have ended.
    #[inline]
    pub(crate) fn note_chunk(&self, point: Point, body: &Body) {
        self.note_end(point, body, self.message(point).has(Facts::TRAILS));
    }

    /// Returns the number of visible bytes that the future has not seen: all, unless some were
    /// buffered.
    #[inline]
    fn news(&self, point: Point) -> usize {
        let message = self.message(point);
        let seen = if message.has(Facts::BODY) { self.reading(point).seen.get() } else { 0 };
        message.size.get().saturating_sub(seen)
    }

    /// Returns whether the current chunk has bytes that were not passed to the future.
    #[inline]
    fn has_news(&self, point: Point) -> bool {
        self.reading(point).fresh.get() && self.news(point) > 0
    }

    /// Records the decision of the function that ends the stream. The function must return: the
    /// error says so to the code that awaits it.
    #[cold]
    pub(crate) fn deny(&self, denial: Denial) -> Error {
        if let Some(error) = declared::detached() {
            return error;
        }
        self.denial.set(Some(denial));
        Error::refused(ErrorKind::Denied, "the filter has denied: return this error from its function")
    }

    #[inline]
    pub(crate) fn take_denial(&self) -> Option<Denial> {
        self.denial.take()
    }

    /// Records a callback: the stream has reached this point.
    #[inline]
    pub(crate) fn arrive(&self, point: Point) {
        self.here.set(self.here.get().max(point));
    }

    /// Records a headers callback.
    #[inline]
    pub(crate) fn arrive_headers(&self, point: Point) {
        if self.here.get() > point {
            self.start_again(point);
        }
        self.arrive(point);
    }

    /// Handles a second response, which replaces the first one: nothing of that is forwarded.
    #[cold]
    #[inline(never)]
    fn start_again(&self, point: Point) {
        if point == Point::ResponseHeaders && self.here.get() != Point::Log {
            self.response.reset();
            self.here.set(point);
        }
    }

    /// Records a body callback.
    #[inline]
    pub(crate) fn arrive_body(&self, point: Point) {
        self.arrive(point);
        self.reading(point).fresh.set(true);
    }

    /// Returns whether a callback at this point concerns the future: it waits for this or an
    /// earlier point, or pauses the stream.
    #[inline]
    pub(crate) fn concerns(&self, point: Point) -> bool {
        match self.wanted.get() {
            Wanted::Nothing => true,
            Wanted::Point(wanted) | Wanted::Whole(wanted) => wanted <= point,
        }
    }

    /// Returns whether the end of the stream, without trailers, concerns the future: it waits for
    /// this body, or for trailers after it.
    #[inline]
    pub(crate) fn concerns_end(&self, body: Point) -> bool {
        match self.wanted.get() {
            Wanted::Nothing => false,
            Wanted::Point(wanted) | Wanted::Whole(wanted) => {
                wanted.is_request() == body.is_request() && wanted >= body && wanted != Point::Log
            }
        }
    }

    /// Records that a message is forwarded, with everything that was buffered of it.
    #[inline]
    pub(crate) fn let_go(&self, point: Point) {
        self.reading(point).forward();
    }

    /// Returns an error if the module does not export the callback of this point.
    #[inline]
    pub(crate) fn declared(point: Point) -> Result<()> {
        if declared::points().has(point.bit()) { Ok(()) } else { Err(undeclared(point)) }
    }

    #[inline]
    pub(crate) fn points(&self) -> Points {
        self.points.get()
    }

    /// Returns `Ok(true)` if the point is available to a future, and `Ok(false)` if it may still
    /// arrive.
    #[inline]
    pub(crate) fn ask(&self, point: Point) -> Result<bool> {
        Self::declared(point)?;
        let here = self.here.get();
        if point < self.asked.get() {
            return self.again(point).map(|()| true);
        }
        if here > point {
            return Err(self.missed(point));
        }
        self.asked.set(point);
        Ok(here == point)
    }

    /// Returns whether a point can be passed again after a later one was awaited: headers that are
    /// paused until their body is complete.
    #[cold]
    #[inline(never)]
    pub(super) fn again(&self, point: Point) -> Result<()> {
        let paused = match point {
            _ if self.is_early(point) => return Err(early_response()),
            Point::RequestHeaders => self.request.with_headers.get() && self.asked.get() == Point::RequestBody,
            Point::ResponseHeaders => self.response.with_headers.get() && self.asked.get() == Point::ResponseBody,
            _ => false,
        };
        if paused { Ok(()) } else { Err(forwarded()) }
    }

    /// Why a point that the stream is past, and that was not given, does not come.
    #[cold]
    #[inline(never)]
    pub(super) fn missed(&self, point: Point) -> Error {
        if point.is_request() && !self.here.get().is_request() && self.here.get() != Point::Log {
            if !self.early.replace(true) {
                self.drops.set(true);
            }
            return early_response();
        }
        forwarded()
    }
}

/// The running future may not await this part.
#[cold]
fn undeclared(point: Point) -> Error {
    declared::detached().unwrap_or_else(|| declared::undeclared(point.not_exported()))
}

/// The response began before what was awaited of the request came.
#[cold]
#[inline(never)]
pub(crate) fn early_response() -> Error {
    Error::refused(ErrorKind::EarlyResponse, "the response began before the filter had the whole request")
}

#[cold]
#[inline(never)]
pub(super) fn forwarded() -> Error {
    Error::refused(
        ErrorKind::WrongPhase,
        "this part of the stream was forwarded already: await the parts in their order, and each before a later one",
    )
}

impl Stage {
    /// Waits for a part, and forwards all before it.
    #[inline]
    pub(super) fn reach(&self, point: Point) -> Poll<Result<()>> {
        match self.ask(point) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => self.stay(Wanted::Point(point)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Waits for a whole body: its length.
    #[inline]
    pub(super) async fn whole(&self, point: Point, limit: usize) -> Result<usize> {
        poll_fn(|_| self.poll_whole(point, limit)).await
    }

    #[inline]
    fn poll_whole(&self, point: Point, limit: usize) -> Poll<Result<usize>> {
        let message = match self.begin(point) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if message.has(Facts::BYTES_FORWARDED) {
            return Poll::Ready(Err(forwarded()));
        }
        // What was not forwarded is here.
        if message.size.get() > limit {
            return Poll::Ready(Err(too_large(point)));
        }
        if message.has(Facts::ENDED) {
            self.reading(point).fresh.set(false);
            return Poll::Ready(Ok(message.size.get()));
        }
        if self.here() == Point::ResponseBody && self.is_tunnel(|| stream_info::response().code().ok().flatten()) {
            return Poll::Ready(Err(tunnel()));
        }
        self.stay_in_body(point, Wanted::Whole(point))
    }

    /// Returns whether the response with this status makes the connection a tunnel.
    #[inline]
    pub(super) fn is_tunnel(&self, status: impl FnOnce() -> Option<u16>) -> bool {
        let request = self.message(Point::RequestHeaders);
        request.has(Facts::UPGRADE.with(Facts::CONNECT))
            && match status() {
                Some(101) => true,
                Some(200..=299) => request.has(Facts::CONNECT),
                _ => false,
            }
    }

    /// Waits for the next chunk of a body: where it starts in what is visible, and its length.
    #[inline]
    pub(super) async fn piece(&self, point: Point) -> Result<Option<(usize, usize)>> {
        poll_fn(|_| self.poll_piece(point)).await
    }

    #[inline]
    pub(super) fn poll_piece(&self, point: Point) -> Poll<Result<Option<(usize, usize)>>> {
        let message = match self.begin(point) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Err(error)),
        };
        // A chunk that came while the filter waited for something else is here even if the stream
        // is past the body.
        if self.has_news(point) {
            return Poll::Ready(Ok(Some(self.take_piece(point))));
        }
        if message.has(Facts::ENDED) {
            return Poll::Ready(Ok(None));
        }
        self.stay_in_body(point, Wanted::Point(point))
    }

    /// Whether the last bytes of a body that has ended are still here.
    ///
    /// # Errors
    /// There may be more of the body, or the future has not seen all of it.
    #[inline]
    pub(super) fn is_at_end(&self, point: Point) -> Result<bool> {
        let message = self.begin(point)?;
        let has_ended = message.has(Facts::ENDED);
        if !has_ended && self.here() > point {
            return Err(self.missed(point));
        }
        if !has_ended || self.has_news(point) {
            return Err(early());
        }
        Ok(!message.has(Facts::BODILESS) && (self.here() == point || message.has(Facts::BODY)))
    }

    #[inline]
    fn take_piece(&self, point: Point) -> (usize, usize) {
        let (news, size, reading) = (self.news(point), self.message(point).size.get(), self.reading(point));
        reading.fresh.set(false);
        reading.seen.set(size);
        (size.saturating_sub(news), news)
    }

    /// A body is awaited.
    #[inline]
    fn begin(&self, point: Point) -> Result<&MessageState> {
        Self::declared(point)?;
        if point < self.asked() || self.is_early(point) {
            self.again(point)?;
        }
        self.note_asked(point);
        Ok(self.message(point))
    }

    /// More of a body must come. Headers that were paused with it are forwarded.
    #[inline]
    fn stay_in_body<T>(&self, point: Point, wanted: Wanted) -> Poll<Result<T>> {
        if self.here() > point {
            return Poll::Ready(Err(self.missed(point)));
        }
        self.reading(point).with_headers.set(false);
        self.stay(wanted)
    }

    /// Waits for trailers: whether there are some. Without them, the end of the body says so.
    #[inline]
    pub(super) async fn trailers(&self, point: Point) -> Result<bool> {
        poll_fn(|_| self.poll_trailers(point)).await
    }

    #[inline]
    fn poll_trailers(&self, point: Point) -> Poll<Result<bool>> {
        let message = match self.begin(point) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if message.has(Facts::TRAILERS_HERE) {
            return Poll::Ready(Ok(true));
        }
        if message.has(Facts::ENDED) && !message.has(Facts::TRAILS) {
            return Poll::Ready(Ok(false));
        }
        if self.here() > point {
            return Poll::Ready(Err(self.missed(point)));
        }
        self.stay(Wanted::Point(point))
    }
}

#[cold]
#[inline]
pub(super) fn too_large(body: Point) -> Error {
    let status = if body.is_request() { 413 } else { 502 };
    Error::deserving(status, ErrorKind::TooLarge, "the body is longer than the limit of the filter")
}

#[cold]
#[inline(never)]
pub(super) fn tunnel() -> Error {
    Error::deserving(
        403,
        ErrorKind::Tunnel,
        "the response makes the connection a tunnel, which has no body: look for `upgrade` and `CONNECT` in the request",
    )
}

#[cold]
#[inline]
pub(super) fn early() -> Error {
    Error::refused(ErrorKind::WrongPhase, "there may be more of the body: await its chunks until there is none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::shared::share;
    use crate::http::body::{Edits, RequestBody};

    const POINTS: Points = Points::FIRST.with(Points::REQUEST_BODY).with(Points::REQUEST_TRAILERS);

    fn messages_of_another_stream() -> Shared<Messages> {
        let messages = share(Messages::new());
        messages.request.begin(false);
        messages.request.note(Facts::ENDED.with(Facts::BODY));
        messages.request.size.set(7);
        messages
    }

    #[test]
    fn a_future_reads_the_state_that_callbacks_write() {
        let messages = share(Messages::new());
        declared::declare(POINTS);
        let stage = Stage::new(POINTS, messages);
        stage.arrive_headers(Point::RequestHeaders);
        assert!(stage.poll_whole(Point::RequestBody, 10).is_pending());
        messages.request.size.set(7);
        stage.arrive_body(Point::RequestBody);
        assert!(stage.poll_whole(Point::RequestBody, 10).is_pending());
        messages.request.note(Facts::ENDED);
        assert!(matches!(stage.poll_whole(Point::RequestBody, 10), Poll::Ready(Ok(7))));
        assert!(matches!(stage.poll_whole(Point::RequestBody, 6), Poll::Ready(Err(_))));
        messages.request.forward_bytes();
        let error = stage.poll_whole(Point::RequestBody, 10);
        assert!(matches!(error, Poll::Ready(Err(error)) if error.kind() == ErrorKind::WrongPhase));
    }

    #[test]
    fn an_exchange_that_outlives_its_stream_does_not_reach_the_next_one() {
        let messages = messages_of_another_stream();
        declared::declare(POINTS);
        let stage = Stage::new(POINTS, messages);
        stage.arrive_headers(Point::RequestHeaders);
        stage.arrive_body(Point::RequestBody);
        assert!(matches!(stage.poll_piece(Point::RequestBody), Poll::Ready(Ok(Some((0, 7))))));
        stage.end();
        let wrong = |result: Poll<Result<()>>| {
            assert!(matches!(result, Poll::Ready(Err(error)) if error.kind() == ErrorKind::WrongPhase));
        };
        wrong(stage.poll_whole(Point::RequestBody, 10).map_ok(drop));
        wrong(stage.poll_piece(Point::RequestBody).map_ok(drop));
        wrong(stage.poll_trailers(Point::RequestTrailers).map_ok(drop));
        wrong(stage.reach(Point::RequestHeaders));
        wrong(Poll::Ready(stage.is_at_end(Point::RequestBody).map(drop)));
        stage.note_length(Point::RequestHeaders, ContentLength::Removed);
        stage.note_end(Point::RequestBody, &RequestBody::new(3, Edits::Any), true);
        assert!(!messages.request.has(Facts::LENGTH_REMOVED));
        assert_eq!(messages.request.size.get(), 7);
    }
}
