//! What comes one after the other, as streams of the crate `futures`: its combinators, [`StreamExt`] and others, work with them unchanged.
//!
//! [`StreamExt`]: https://docs.rs/futures/latest/futures/stream/trait.StreamExt.html

use crate::error::Result;
use crate::exchange::Chunks;
#[cfg(feature = "grpc")]
use crate::grpc::{ConnectedGrpcStream, GrpcError};
use crate::timer::Ticks;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::stream::{FusedStream, Stream};

/// The times, each as [`tick`](Ticks::tick) returns it. It has no end.
impl Stream for Ticks {
    type Item = Result<()>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_tick(context).map(Some)
    }
}

/// The messages, each as [`next`](ConnectedGrpcStream::next) returns it, and the error with which the stream ended, if it did.
#[cfg(feature = "grpc")]
impl<Sent, Received> Stream for ConnectedGrpcStream<Sent, Received> {
    type Item = Result<Received, GrpcError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(context)
    }
}

#[cfg(feature = "grpc")]
impl<Sent, Received> FusedStream for ConnectedGrpcStream<Sent, Received> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}

/// The pieces; after an error there are no more.
impl Stream for Chunks<'_> {
    type Item = Result<Vec<u8>>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk()
    }
}

impl FusedStream for Chunks<'_> {
    #[inline]
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}
