//! The position of a stream, and what its future waits for.

use crate::current::{self, Callback};
use crate::engine::declared::undeclared;
use crate::engine::point::{Point, Points};
use crate::error::denial::Denial;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
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

/// The state that a stream's callbacks and its future share.
pub(crate) struct Stage {
    points: Points,
    /// The position of the stream.
    here: Cell<Point>,
    /// The position of the future: the last point that it has awaited. It never moves back.
    asked: Cell<Point>,
    /// The future was notified that the response began before it had received the whole request.
    early: Cell<bool>,
    /// Nothing more of the request is forwarded.
    drops: Cell<bool>,
    wanted: Cell<Wanted>,
    request: Progress,
    response: Progress,
    denial: Cell<Option<Denial>>,
}

impl core::fmt::Debug for Stage {
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stage").field("here", &self.here).field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// The position in the body of a message.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of bytes that are visible now.
    pub(crate) size: Cell<usize>,
    /// The number of them that the future has seen: 0 once they were forwarded.
    pub(crate) seen: Cell<usize>,
    /// The current chunk was not passed to the future yet.
    pub(crate) fresh: Cell<bool>,
    /// The message has ended, with the headers, with data, or with trailers.
    pub(crate) ended: Cell<bool>,
    /// The message has no body.
    pub(crate) bodiless: Cell<bool>,
    /// What the future has seen is still buffered in the host.
    pub(crate) held: Cell<bool>,
    /// Bytes were forwarded.
    pub(crate) forwarded: Cell<bool>,
    /// The headers are paused until the body is complete.
    pub(crate) with_headers: Cell<bool>,
    /// The future was notified that there is no body, by a host that did not send its end.
    pub(crate) told_empty: Cell<bool>,
    /// The message has ended with trailers.
    pub(crate) trails: Cell<bool>,
    /// The trailers are available.
    pub(crate) trailed: Cell<bool>,
}

impl Progress {
    /// Resets the state for another message in the place of this one.
    fn reset(&self) {
        self.size.set(0);
        self.seen.set(0);
        for flag in [&self.fresh, &self.ended, &self.bodiless, &self.held, &self.forwarded] {
            flag.set(false);
        }
        for flag in [&self.with_headers, &self.told_empty, &self.trails, &self.trailed] {
            flag.set(false);
        }
    }

    /// Records where the last chunk ends after the future's edits. A chunk that was forwarded while
    /// the future waited for the next one is no part of what is visible.
    ///
    /// `measures` if the size may be that before the edits: the callback of trailers, unlike
    /// one with data, does not say how much is buffered.
    #[inline]
    pub(crate) fn note_end(&self, body: &Body, measures: bool) {
        let seen = self.seen.get();
        if seen == 0 {
            return;
        }
        let end = body.end();
        self.seen.set(end);
        if measures && end != seen {
            self.size.set(body.measure());
        }
    }

    /// Returns the number of visible bytes that the future has not seen: all, unless some were
    /// buffered.
    #[inline]
    pub(crate) fn news(&self) -> usize {
        let size = self.size.get();
        if self.held.get() { size.saturating_sub(self.seen.get()) } else { size }
    }
}

impl Stage {
    #[inline]
    pub(crate) fn new(points: Points) -> Self {
        Self {
            points,
            here: Cell::new(Point::Created),
            asked: Cell::new(Point::Created),
            early: Cell::new(false),
            drops: Cell::new(false),
            wanted: Cell::new(Wanted::Point(Point::RequestHeaders)),
            request: Progress::default(),
            response: Progress::default(),
            denial: Cell::new(None),
        }
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

    #[inline]
    pub(crate) fn progress(&self, point: Point) -> &Progress {
        if point.is_request() { &self.request } else { &self.response }
    }

    /// Records the decision of the function that ends the stream. The function must return: the
    /// error says so to the code that awaits it.
    #[cold]
    pub(crate) fn deny(&self, denial: Denial) -> Error {
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
    pub(crate) fn arrive_headers(&self, point: Point, end_of_stream: bool) {
        let progress = self.progress(point);
        if self.here.get() > point {
            self.start_again(progress, point);
        }
        self.arrive(point);
        if end_of_stream {
            progress.ended.set(true);
            progress.bodiless.set(true);
        }
    }

    /// Handles a second response, which replaces the first one: nothing of that is forwarded.
    #[cold]
    #[inline(never)]
    fn start_again(&self, progress: &Progress, point: Point) {
        if point == Point::ResponseHeaders && self.here.get() != Point::Log {
            progress.reset();
            self.here.set(point);
        }
    }

    /// Records a body callback with this number of visible bytes.
    #[inline]
    pub(crate) fn arrive_body(&self, point: Point, size: usize, end_of_stream: bool) {
        self.arrive(point);
        let progress = self.progress(point);
        progress.size.set(size);
        progress.fresh.set(true);
        if end_of_stream {
            progress.ended.set(true);
            progress
                .trails
                .set([Callback::REQUEST_TRAILERS, Callback::RESPONSE_TRAILERS].contains(&current::callback()));
        }
    }

    /// Records a trailers callback.
    #[inline]
    pub(crate) fn arrive_trailers(&self, point: Point) {
        self.arrive(point);
        let progress = self.progress(point);
        progress.ended.set(true);
        progress.trails.set(true);
        progress.trailed.set(true);
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
        let progress = self.progress(point);
        if progress.size.get() > 0 {
            progress.forwarded.set(true);
        }
        progress.size.set(0);
        progress.held.set(false);
        progress.seen.set(0);
        progress.fresh.set(false);
        progress.trailed.set(false);
    }

    /// Returns an error if the module does not export the callback of this point.
    #[inline]
    pub(crate) fn declared(&self, point: Point) -> Result<()> {
        if self.points.has(point.bit()) { Ok(()) } else { Err(undeclared(point.not_exported())) }
    }

    pub(crate) const fn points(&self) -> Points {
        self.points
    }

    /// Returns `Ok(true)` if the point is available to a future, and `Ok(false)` if it may still
    /// arrive.
    #[inline]
    pub(crate) fn ask(&self, point: Point) -> Result<bool> {
        self.declared(point)?;
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
        let progress = match self.begin(point) {
            Ok(progress) => progress,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if progress.forwarded.get() {
            return Poll::Ready(Err(forwarded()));
        }
        // What was not forwarded is here.
        if progress.size.get() > limit {
            return Poll::Ready(Err(too_large(point)));
        }
        if progress.ended.get() {
            progress.fresh.set(false);
            return Poll::Ready(Ok(progress.size.get()));
        }
        self.stay_in_body(point, progress, Wanted::Whole(point))
    }

    /// Waits for the next chunk of a body: where it starts in what is visible, and its length.
    #[inline]
    pub(super) async fn piece(&self, point: Point) -> Result<Option<(usize, usize)>> {
        poll_fn(|_| self.poll_piece(point)).await
    }

    #[inline]
    pub(super) fn poll_piece(&self, point: Point) -> Poll<Result<Option<(usize, usize)>>> {
        let progress = match self.begin(point) {
            Ok(progress) => progress,
            Err(error) => return Poll::Ready(Err(error)),
        };
        // A chunk that came while the filter waited for something else is here even if the stream
        // is past the body.
        if progress.fresh.get() && progress.news() > 0 {
            return Poll::Ready(Ok(Some(Self::take_piece(progress))));
        }
        if progress.ended.get() {
            return Poll::Ready(Ok(None));
        }
        self.stay_in_body(point, progress, Wanted::Point(point))
    }

    /// Whether the last bytes of a body that has ended are still here.
    ///
    /// # Errors
    /// There may be more of the body, or the future has not seen all of it.
    #[inline]
    pub(super) fn is_at_end(&self, point: Point) -> Result<bool> {
        let progress = self.begin(point)?;
        if !progress.ended.get() && self.here() > point {
            return Err(self.missed(point));
        }
        if !progress.ended.get() || progress.fresh.get() && progress.news() > 0 {
            return Err(early());
        }
        Ok(!progress.bodiless.get() && (self.here() == point || progress.held.get()))
    }

    #[inline]
    fn take_piece(progress: &Progress) -> (usize, usize) {
        progress.fresh.set(false);
        let news = progress.news();
        progress.seen.set(progress.size.get());
        (progress.size.get().saturating_sub(news), news)
    }

    /// A body is awaited.
    #[inline]
    fn begin(&self, point: Point) -> Result<&Progress> {
        self.declared(point)?;
        if point < self.asked() || self.is_early(point) {
            self.again(point)?;
        }
        self.note_asked(point);
        Ok(self.progress(point))
    }

    /// More of a body must come. Headers that were paused with it are forwarded.
    #[inline]
    fn stay_in_body<T>(&self, point: Point, progress: &Progress, wanted: Wanted) -> Poll<Result<T>> {
        if self.here() > point {
            return Poll::Ready(Err(self.missed(point)));
        }
        progress.with_headers.set(false);
        self.stay(wanted)
    }

    /// Waits for trailers: whether there are some. Without them, the end of the body says so.
    #[inline]
    pub(super) async fn trailers(&self, point: Point) -> Result<bool> {
        poll_fn(|_| self.poll_trailers(point)).await
    }

    #[inline]
    fn poll_trailers(&self, point: Point) -> Poll<Result<bool>> {
        let progress = match self.begin(point) {
            Ok(progress) => progress,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if progress.trailed.get() {
            return Poll::Ready(Ok(true));
        }
        if progress.ended.get() && !progress.trails.get() {
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
#[inline]
pub(super) fn early() -> Error {
    Error::refused(ErrorKind::WrongPhase, "there may be more of the body: await its pieces until there is none")
}
