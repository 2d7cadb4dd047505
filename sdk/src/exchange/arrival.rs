//! Waiting for the parts of a stream to arrive.

use super::stage::{Point, Progress, Stage, Wanted};
use crate::error::{Error, ErrorKind, Result};
use core::future::poll_fn;
use core::task::Poll;

impl Stage {
    /// Waits for a part, and lets all before it go.
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
        poll_fn(|_| {
            let progress = self.progress(point);
            if self.here() > point && progress.ended.get() || progress.bodiless.get() {
                // It ended with headers or trailers.
                return Poll::Ready(self.declared(point).map(|()| progress.size.get()));
            }
            match self.ask(point) {
                Ok(true) if progress.size.get() > limit => Poll::Ready(Err(too_large())),
                Ok(true) if progress.ended.get() => Poll::Ready(Ok(progress.size.get())),
                Ok(_) => self.stay(Wanted::Whole(point)),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Waits for the next piece of a body: where it starts in what is visible, and its length.
    #[inline]
    pub(super) async fn piece(&self, point: Point) -> Result<Option<(usize, usize)>> {
        poll_fn(|_| self.poll_piece(point)).await
    }

    #[inline]
    pub(super) fn poll_piece(&self, point: Point) -> Poll<Result<Option<(usize, usize)>>> {
        let progress = self.progress(point);
        if self.here() > point || progress.bodiless.get() {
            return Poll::Ready(self.declared(point).map(|()| None));
        }
        match self.ask(point) {
            Ok(true) if progress.fresh.get() && (progress.news() > 0 || !progress.ended.get()) => {
                Poll::Ready(Ok(Some(Self::take_piece(progress))))
            }
            Ok(true) if progress.ended.get() => Poll::Ready(Ok(None)),
            Ok(_) => self.stay(Wanted::Point(point)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    #[inline]
    fn take_piece(progress: &Progress) -> (usize, usize) {
        progress.fresh.set(false);
        let news = progress.news();
        (progress.size.get().saturating_sub(news), news)
    }

    /// Waits for trailers: whether there are some. The end of a body does not say it: what comes after it does.
    #[inline]
    pub(super) async fn trailers(&self, point: Point) -> Result<bool> {
        poll_fn(|_| {
            let over = self.here() > point || self.progress(point).bodiless.get();
            match self.ask(point) {
                Ok(true) => Poll::Ready(Ok(true)),
                _ if over => Poll::Ready(self.declared(point).map(|()| false)),
                Ok(false) => self.stay(Wanted::Point(point)),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
}

#[cold]
#[inline]
pub(super) fn too_large() -> Error {
    Error::refused(ErrorKind::TooLarge, "the body is longer than the limit of the filter")
}
