//! Callouts as futures, for filters that are one async function.

use super::callout::{Callout, Waiting};
use super::{completion, grpc_calls, timers};
use crate::callout_error::CalloutError;
use crate::error::{Error, Result};
use crate::exchange::{self, Points};
use crate::grpc::{GrpcCall, GrpcError, GrpcMessage};
use crate::http_call::{HttpAnswer, HttpCall};
use crate::runtime::current;
use crate::timer::Timer;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;
use std::rc::Rc;

/// A callout as a future; made by `.await`, or by [`into_future`](IntoFuture::into_future) for combinators such as `join`. It starts when it is polled
/// for the first time. Dropping it means that nobody waits for the answer any more.
pub struct Awaited<A: Awaitable>(State<A>);

enum State<A: Awaitable> {
    New(Option<A>),
    Waiting { number: u32, answer: Rc<Answer<A::Output>> },
}

/// What the callout's completion and its future tell each other.
struct Answer<T> {
    answer: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

impl<A: Awaitable> core::fmt::Debug for Awaited<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Awaited").finish_non_exhaustive()
    }
}

/// A callout that can be awaited. Only this crate implements it.
pub trait Awaitable: Callout + Unpin {
    /// What the future returns.
    type Output: 'static;

    #[doc(hidden)]
    const DECLARED: (Points, &'static str);

    /// A copy of what the host has while the completion runs.
    #[doc(hidden)]
    fn copy(answer: Self::Answer<'_>) -> Self::Output;

    #[doc(hidden)]
    fn refuse(error: Error) -> Self::Output;

    #[doc(hidden)]
    fn give_up(number: u32);
}

impl<A: Awaitable> Future for Awaited<A> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        match &mut self.0 {
            State::New(callout) => {
                // A future is not polled again after it was ready.
                let Some(callout) = callout.take() else { return Poll::Pending };
                if !exchange::is_declared(A::DECLARED.0) {
                    return Poll::Ready(A::refuse(exchange::undeclared(A::DECLARED.1)));
                }
                match callout.start() {
                    Err(answer) => Poll::Ready(A::copy(answer)),
                    Ok(number) => {
                        let answer = Rc::new(Answer {
                            answer: Cell::new(None),
                            waker: Cell::new(Some(context.waker().clone())),
                        });
                        let completion = Rc::clone(&answer);
                        A::wait(
                            number,
                            current::context_id(),
                            Waiting::Context(Box::new(move |_, found| {
                                completion.answer.set(Some(A::copy(found)));
                                if let Some(waker) = completion.waker.take() {
                                    waker.wake();
                                }
                                Ok(())
                            })),
                        );
                        self.0 = State::Waiting { number, answer };
                        Poll::Pending
                    }
                }
            }
            State::Waiting { answer, .. } => {
                let Some(found) = answer.answer.take() else {
                    answer.waker.set(Some(context.waker().clone()));
                    return Poll::Pending;
                };
                self.0 = State::New(None);
                Poll::Ready(found)
            }
        }
    }
}

impl<A: Awaitable> Drop for Awaited<A> {
    fn drop(&mut self) {
        if let State::Waiting { number, .. } = self.0 {
            A::give_up(number);
        }
    }
}

impl Awaitable for HttpCall {
    type Output = core::result::Result<HttpAnswer, CalloutError>;

    const DECLARED: (Points, &'static str) = (Points::HTTP_CALLS, "http_calls");

    #[inline]
    fn copy(answer: Self::Answer<'_>) -> Self::Output {
        answer.and_then(HttpAnswer::copy)
    }

    #[inline]
    fn refuse(error: Error) -> Self::Output {
        Err(CalloutError::Refused(error))
    }

    #[inline]
    fn give_up(number: u32) {
        completion::give_up(number);
    }
}

impl Awaitable for Timer {
    type Output = Result<()>;

    const DECLARED: (Points, &'static str) = (Points::TIMERS, "timers");

    #[inline]
    fn copy(answer: Self::Answer<'_>) -> Self::Output {
        answer
    }

    #[inline]
    fn refuse(error: Error) -> Self::Output {
        Err(error)
    }

    #[inline]
    fn give_up(number: u32) {
        timers::give_up(number);
    }
}

impl<Reply: GrpcMessage> Awaitable for GrpcCall<Reply> {
    type Output = core::result::Result<Reply, GrpcError>;

    const DECLARED: (Points, &'static str) = (Points::GRPC_CALLS, "grpc_calls");

    fn copy(answer: Self::Answer<'_>) -> Self::Output {
        answer
    }

    fn refuse(error: Error) -> Self::Output {
        Err(GrpcError::Refused(error))
    }

    fn give_up(number: u32) {
        grpc_calls::give_up(number);
    }
}

impl IntoFuture for HttpCall {
    type Output = core::result::Result<HttpAnswer, CalloutError>;
    type IntoFuture = Awaited<Self>;

    #[inline]
    fn into_future(self) -> Awaited<Self> {
        Awaited(State::New(Some(self)))
    }
}

impl IntoFuture for Timer {
    type Output = Result<()>;
    type IntoFuture = Awaited<Self>;

    #[inline]
    fn into_future(self) -> Awaited<Self> {
        Awaited(State::New(Some(self)))
    }
}

impl<Reply: GrpcMessage> IntoFuture for GrpcCall<Reply> {
    type Output = core::result::Result<Reply, GrpcError>;
    type IntoFuture = Awaited<Self>;

    fn into_future(self) -> Awaited<Self> {
        Awaited(State::New(Some(self)))
    }
}
