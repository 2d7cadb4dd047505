//! How far a stream is, and what its future waits for.

use crate::current;
use crate::current::Callback;
use crate::engine::declared::undeclared;
use crate::engine::point::{Point, Points};
use crate::error::denial::Denial;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use core::task::Poll;
use std::cell::Cell;

/// What a future that is not ready waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing of the stream, which is held meanwhile.
    Nothing,
    /// A point, or the next piece of the body there: all before it goes on.
    Point(Point),
    /// The whole body of that point; with that of headers, which are held meanwhile, the body that
    /// follows them.
    Whole(Point),
}

/// What a stream's callbacks and its future tell each other.
pub(crate) struct Stage {
    points: Points,
    /// How far the stream is.
    here: Cell<Point>,
    /// How far the future is: the last point that it has awaited. It cannot go back.
    asked: Cell<Point>,
    /// The future was told that the response began before it had the whole request.
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

/// How far the body of a message is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The bytes the host shows now.
    pub(crate) size: Cell<usize>,
    /// How many of them the future has seen.
    pub(crate) seen: Cell<usize>,
    /// The chunk that is here was not given to the future yet.
    pub(crate) fresh: Cell<bool>,
    /// The end of the stream has come, with the headers, with data, or with trailers.
    pub(crate) ended: Cell<bool>,
    /// The message has no body.
    pub(crate) bodiless: Cell<bool>,
    /// What was seen is still here: the host buffers it.
    pub(crate) held: Cell<bool>,
    /// Bytes were forwarded.
    pub(crate) forwarded: Cell<bool>,
    /// The headers are paused until the body is here.
    pub(crate) with_headers: Cell<bool>,
    /// The future was told that there is no body, by a host that did not send its end.
    pub(crate) told_empty: Cell<bool>,
    /// The end of the stream has come with trailers.
    pub(crate) trails: Cell<bool>,
    /// The trailers are here.
    pub(crate) trailed: Cell<bool>,
}

impl Progress {
    /// Forgets a message in whose place another one comes.
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

    /// How many of the bytes that are here the future has not seen: all, unless some were held.
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

    /// The future awaits a point, or was given it.
    #[inline]
    pub(crate) fn note_asked(&self, point: Point) {
        self.asked.set(point);
    }

    /// Whether what comes of this message must not be forwarded: the future wanted to see more of
    /// the request, and was told that the response had begun.
    #[inline]
    pub(crate) fn drops(&self, point: Point) -> bool {
        point.is_request() && self.drops.get()
    }

    /// Whether the future was told that this message does not come any more.
    #[inline]
    pub(super) fn is_early(&self, point: Point) -> bool {
        point.is_request() && self.early.get()
    }

    /// Forwards the rest of the request all the same.
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

    /// A future waits for something of the stream.
    pub(crate) fn stay<T>(&self, wanted: Wanted) -> Poll<T> {
        self.want(wanted);
        Poll::Pending
    }

    #[inline]
    pub(crate) fn progress(&self, point: Point) -> &Progress {
        if point.is_request() { &self.request } else { &self.response }
    }

    /// The function has decided how the stream ends. It has to end itself: the error says so to
    /// what awaits it.
    #[cold]
    pub(crate) fn deny(&self, denial: Denial) -> Error {
        self.denial.set(Some(denial));
        Error::refused(ErrorKind::Denied, "the filter has denied: return this error from its function")
    }

    #[inline]
    pub(crate) fn take_denial(&self) -> Option<Denial> {
        self.denial.take()
    }

    /// A callback: the stream has come to this point.
    #[inline]
    pub(crate) fn arrive(&self, point: Point) {
        self.here.set(self.here.get().max(point));
    }

    /// A headers callback.
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

    /// A second response takes the place of the first: nothing of that one is forwarded.
    #[cold]
    #[inline(never)]
    fn start_again(&self, progress: &Progress, point: Point) {
        if point == Point::ResponseHeaders && self.here.get() != Point::Log {
            progress.reset();
            self.here.set(point);
        }
    }

    /// A body callback: so many bytes are visible now.
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

    /// A trailers callback.
    #[inline]
    pub(crate) fn arrive_trailers(&self, point: Point) {
        self.arrive(point);
        let progress = self.progress(point);
        progress.ended.set(true);
        progress.trails.set(true);
        progress.trailed.set(true);
    }

    /// Whether a callback at this point concerns the future: it waits for this or something before
    /// it, or holds the stream.
    #[inline]
    pub(crate) fn concerns(&self, point: Point) -> bool {
        match self.wanted.get() {
            Wanted::Nothing => true,
            Wanted::Point(wanted) | Wanted::Whole(wanted) => wanted <= point,
        }
    }

    /// Whether the end of the stream, which came without trailers, concerns the future: it waits
    /// for this body, or for trailers after it.
    #[inline]
    pub(crate) fn concerns_end(&self, body: Point) -> bool {
        match self.wanted.get() {
            Wanted::Nothing => false,
            Wanted::Point(wanted) | Wanted::Whole(wanted) => {
                wanted.is_request() == body.is_request() && wanted >= body && wanted != Point::Log
            }
        }
    }

    /// A message is forwarded, with all that was buffered of it.
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

    /// Whether the module exports the callback of a point.
    #[inline]
    pub(crate) fn declared(&self, point: Point) -> Result<()> {
        if self.points.has(point.bit()) { Ok(()) } else { Err(undeclared(point.name())) }
    }

    pub(crate) const fn points(&self) -> Points {
        self.points
    }

    /// What to say to a future that asks for a point: `Ok(true)` if it is here, `Ok(false)` if it
    /// may come.
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

    /// Whether a point can be given again after a later one was awaited: headers that are paused
    /// until their body is here.
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
        ErrorKind::NotAvailableHere,
        "this part of the stream was forwarded already: await the parts in their order, and each before a later one",
    )
}
