//! gRPC calls as futures.

use crate::callout::awaited::{Awaitable, Awaited, WaitingForCompletion};
use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::calls;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::GrpcMessage;
use crate::engine::point::Points;
use crate::error::Error;
use core::task::Waker;

impl<Reply: GrpcMessage> Awaitable for GrpcCall<Reply> {
    type Output = core::result::Result<Reply, GrpcError>;
    type Waiting = WaitingForCompletion<Self::Output>;

    const DECLARED: (Points, &'static str) = (Points::GRPC_CALLS, "grpc_calls");

    fn expect(number: u32, waker: &Waker) -> Self::Waiting {
        WaitingForCompletion::new::<Self>(number, waker, calls::give_up)
    }

    #[inline]
    fn look(waiting: &Self::Waiting, waker: &Waker) -> Option<Self::Output> {
        waiting.look(waker)
    }

    fn not_started(answer: Self::Answer<'static>) -> Self::Output {
        answer
    }

    fn refuse(error: Error) -> Self::Output {
        Err(GrpcError::Refused(error))
    }
}

impl<Reply: GrpcMessage> IntoFuture for GrpcCall<Reply> {
    type Output = core::result::Result<Reply, GrpcError>;
    type IntoFuture = Awaited<Self>;

    fn into_future(self) -> Awaited<Self> {
        Awaited::new(self)
    }
}
