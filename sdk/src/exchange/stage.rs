//! How far a stream is, and what its future waits for.

use crate::error::{Error, ErrorKind, Result};
use crate::local_reply::LocalReply;
use crate::runtime::line::Line;
use core::task::Poll;
use std::cell::Cell;

/// A point of a stream's life, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Created,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Log,
}

impl Point {
    #[inline]
    pub(crate) fn is_request(self) -> bool {
        self < Self::ResponseHeaders
    }

    #[inline]
    pub(crate) fn is_headers(self) -> bool {
        matches!(self, Self::RequestHeaders | Self::ResponseHeaders)
    }

    /// The method of `Exchange` that waits for it, which is also the argument of the attribute.
    const fn name(self) -> &'static str {
        match self {
            Self::Created | Self::RequestHeaders => "request_headers",
            Self::RequestBody => "request_body",
            Self::RequestTrailers => "request_trailers",
            Self::ResponseHeaders => "response_headers",
            Self::ResponseBody => "response_body",
            Self::ResponseTrailers => "response_trailers",
            Self::Log => "finished",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The points at which the host calls for the module.
#[derive(Clone, Copy, Debug)]
pub struct Points(u32);

#[allow(missing_docs, reason = "each is named as a method of `Exchange`")]
impl Points {
    pub const REQUEST_BODY: Self = Self(Point::RequestBody.bit());
    pub const REQUEST_TRAILERS: Self = Self(Point::RequestTrailers.bit());
    pub const RESPONSE_HEADERS: Self = Self(Point::ResponseHeaders.bit());
    pub const RESPONSE_BODY: Self = Self(Point::ResponseBody.bit());
    pub const RESPONSE_TRAILERS: Self = Self(Point::ResponseTrailers.bit());
    pub const FINISHED: Self = Self(Point::Log.bit());
    /// What every filter has.
    pub const FIRST: Self = Self(Point::RequestHeaders.bit());

    /// Answers to calls.
    pub const HTTP_CALLS: Self = Self(1 << 16);
    /// The tick.
    pub const TIMERS: Self = Self(1 << 17);
    /// Answers to gRPC calls.
    pub const GRPC_CALLS: Self = Self(1 << 19);
    /// What comes on gRPC streams.
    pub const GRPC_STREAMS: Self = Self(1 << 20);
    /// Items in queues.
    pub const QUEUES: Self = Self(1 << 18);
    pub const NONE: Self = Self(0);

    pub(crate) const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.has(other.0)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a future that is not ready waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing of the stream, which is held meanwhile.
    Nothing,
    /// A point, or the next piece of the body there: all before it goes on.
    Point(Point),
    /// The whole body of that point; with that of headers, which are held meanwhile, the body that follows them.
    Whole(Point),
}

/// What a stream's callbacks and its future tell each other.
pub(crate) struct Stage {
    points: Points,
    /// How far the stream is.
    here: Cell<Point>,
    /// How far the future is: the last point whose handle it was given.
    taken: Cell<Point>,
    wanted: Cell<Wanted>,
    request: Progress,
    response: Progress,
    reply: Cell<Option<LocalReply>>,
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
    /// The piece that is here was not given to the future yet.
    pub(crate) fresh: Cell<bool>,
    /// There is no more.
    pub(crate) ended: Cell<bool>,
    /// The message has no body.
    pub(crate) bodiless: Cell<bool>,
    /// What was seen is still here: it is held.
    pub(crate) held: Cell<bool>,
}

impl Progress {
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
            taken: Cell::new(Point::Created),
            wanted: Cell::new(Wanted::Point(Point::RequestHeaders)),
            request: Progress::default(),
            response: Progress::default(),
            reply: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn here(&self) -> Point {
        self.here.get()
    }

    #[inline]
    pub(crate) fn taken(&self) -> Point {
        self.taken.get()
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

    #[inline]
    pub(crate) fn set_reply(&self, reply: LocalReply) {
        self.reply.set(Some(reply));
    }

    #[inline]
    pub(crate) fn take_reply(&self) -> Option<LocalReply> {
        self.reply.take()
    }

    /// A callback: the stream has come to this point.
    #[inline]
    pub(crate) fn arrive(&self, point: Point) {
        self.here.set(self.here.get().max(point));
    }

    /// A headers callback.
    #[inline]
    pub(crate) fn arrive_headers(&self, point: Point, end_of_stream: bool) {
        self.arrive(point);
        if end_of_stream {
            let progress = self.progress(point);
            progress.ended.set(true);
            progress.bodiless.set(true);
        }
    }

    /// A body callback: so many bytes are visible now.
    #[inline]
    pub(crate) fn arrive_body(&self, point: Point, size: usize, end_of_stream: bool) {
        self.arrive(point);
        let progress = self.progress(point);
        progress.size.set(size);
        progress.fresh.set(true);
        progress.ended.set(end_of_stream);
    }

    /// Whether a callback at this point concerns the future: it waits for this or something before it, or holds the stream.
    #[inline]
    pub(crate) fn concerns(&self, point: Point) -> bool {
        match self.wanted.get() {
            Wanted::Nothing => true,
            Wanted::Point(wanted) | Wanted::Whole(wanted) => wanted <= point,
        }
    }

    /// A message goes on, with all that was held of it.
    #[inline]
    pub(crate) fn let_go(&self, point: Point) {
        let progress = self.progress(point);
        progress.held.set(false);
        progress.seen.set(0);
        progress.fresh.set(false);
    }

    /// Whether the module exports the callback of a point.
    #[inline]
    pub(crate) fn declared(&self, point: Point) -> Result<()> {
        if self.points.has(point.bit()) { Ok(()) } else { Err(undeclared(point.name())) }
    }

    pub(crate) const fn points(&self) -> Points {
        self.points
    }

    /// What to say to a future that asks for a point: `Ok(true)` if it is here, `Ok(false)` if it may come.
    #[inline]
    pub(crate) fn ask(&self, point: Point) -> Result<bool> {
        self.declared(point)?;
        let here = self.here.get();
        if here > point {
            return Err(Error::refused(
                ErrorKind::NotAvailableHere,
                "this part of the stream has passed, or the response began before it came",
            ));
        }
        if here == point {
            self.taken.set(point);
        }
        Ok(here == point)
    }
}

#[cold]
#[inline]
pub(crate) fn undeclared(name: &str) -> Error {
    let mut line = Line::new();
    for part in ["the module does not export what `", name, "` waits for: write `#[proxy_filter::filter(", name, ")]`"]
    {
        line.push(part);
    }
    Error::text(ErrorKind::NotAvailableHere, line.as_str().into())
}
