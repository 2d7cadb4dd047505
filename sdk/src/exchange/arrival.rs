//! Waiting for the parts of a stream to arrive.

use crate::engine::point::Point;
use crate::error::kind::ErrorKind;
use crate::error::{Error, Result};
use crate::exchange::stage::{Progress, Stage, Wanted, forwarded};
use core::future::poll_fn;
use core::task::Poll;

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
            return Err(crate::exchange::early());
        }
        Ok(!progress.bodiless.get() && (self.here() == point || progress.held.get()))
    }

    #[inline]
    fn take_piece(progress: &Progress) -> (usize, usize) {
        progress.fresh.set(false);
        let news = progress.news();
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
