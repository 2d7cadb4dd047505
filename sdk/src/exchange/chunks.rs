//! The chunks of a body as a stream of the crate `futures`.

use crate::engine::point::Point;
use crate::error::Result;
use crate::exchange::stage::Stage;
use crate::http::body::Body;
use core::task::Poll;

/// Copies of the chunks of a body, one after the other. Returned by
/// [`Exchange::request_chunks`](crate::Exchange::request_chunks) and
/// [`response_chunks`](crate::Exchange::response_chunks).
#[derive(Debug)]
#[must_use = "chunks are forwarded as the stream is polled"]
pub struct Chunks<'a> {
    stage: &'a Stage,
    point: Point,
    /// The last chunk, for code that continues without this stream.
    body: Option<&'a mut Body>,
    over: bool,
}

impl<'a> Chunks<'a> {
    #[inline]
    pub(super) fn new(stage: &'a Stage, point: Point, body: Option<&'a mut Body>) -> Self {
        Self { stage, point, body, over: false }
    }

    #[inline]
    pub(crate) fn poll_chunk(&mut self) -> Poll<Option<Result<Vec<u8>>>> {
        let Some(body) = self.body.as_mut().filter(|_| !self.over) else { return Poll::Ready(None) };
        self.stage.note_chunk(self.point, body);
        let piece = match self.stage.poll_piece(self.point) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => piece.transpose(),
        };
        let bytes = piece.map(|piece| {
            let (start, length) = piece?;
            body.move_to(start, length);
            body.to_bytes()
        });
        self.over = !matches!(bytes, Some(Ok(_)));
        Poll::Ready(bytes)
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }
}

/// Yields the chunks; after an error it ends.
impl futures_core::Stream for Chunks<'_> {
    type Item = Result<Vec<u8>>;

    #[inline]
    fn poll_next(mut self: core::pin::Pin<&mut Self>, _: &mut core::task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk()
    }
}

impl futures_core::FusedStream for Chunks<'_> {
    #[inline]
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}
