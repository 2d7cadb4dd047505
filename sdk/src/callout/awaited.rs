//! Callouts as futures.

use crate::callout::completion::{Callout, Completion};
use crate::callout::pending::NOBODY;
use crate::engine::declared;
use crate::engine::point::Points;
use crate::error::Error;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;
use std::rc::Rc;

/// A callout as a future; made by `.await`, or by [`into_future`](IntoFuture::into_future) for combinators such as `join`. It starts when it is polled
/// for the first time. Dropping it means that nobody waits for the answer any more.
#[must_use = "a callout does nothing unless it is awaited"]
pub struct Awaited<A: Awaitable>(State<A>);

enum State<A: Awaitable> {
    New(Option<A>),
    Waiting(A::Waiting),
}

impl<A: Awaitable> Awaited<A> {
    #[inline]
    pub(crate) const fn new(callout: A) -> Self {
        Self(State::New(Some(callout)))
    }
}

impl<A: Awaitable> core::fmt::Debug for Awaited<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Awaited").finish_non_exhaustive()
    }
}

/// A callout that can be awaited. Only this crate implements it.
pub trait Awaitable: Callout<Started = u32> + Unpin {
    /// What the future returns.
    type Output: 'static;

    /// Where the future finds it. Dropping it means that nobody waits any more.
    #[doc(hidden)]
    type Waiting: Unpin;

    #[doc(hidden)]
    const DECLARED: (Points, &'static str);

    /// Waits for the answer to what was started.
    #[doc(hidden)]
    fn expect(number: u32, waker: &Waker) -> Self::Waiting;

    /// The answer, if it is there. Otherwise the waker is woken when it is.
    #[doc(hidden)]
    fn look(waiting: &Self::Waiting, waker: &Waker) -> Option<Self::Output>;

    /// What there is instead of an answer to what could not be started.
    #[doc(hidden)]
    fn not_started(answer: Self::Answer<'static>) -> Self::Output;

    #[doc(hidden)]
    fn refuse(error: Error) -> Self::Output;
}

impl<A: Awaitable> Future for Awaited<A> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        match &mut self.0 {
            State::New(callout) => {
                // A future is not polled again after it was ready.
                let Some(callout) = callout.take() else { return Poll::Pending };
                if !declared::is_declared(A::DECLARED.0) {
                    return Poll::Ready(A::refuse(declared::undeclared(A::DECLARED.1)));
                }
                match callout.start() {
                    Err(answer) => Poll::Ready(A::not_started(answer)),
                    Ok(number) => {
                        self.0 = State::Waiting(A::expect(number, context.waker()));
                        Poll::Pending
                    }
                }
            }
            State::Waiting(waiting) => {
                let Some(found) = A::look(waiting, context.waker()) else { return Poll::Pending };
                self.0 = State::New(None);
                Poll::Ready(found)
            }
        }
    }
}

/// A future that waits for something else: its completion puts the answer where the future finds it.
pub struct WaitingForCompletion<T> {
    number: u32,
    shared: Rc<Answer<T>>,
    give_up: fn(u32),
}

/// What a completion and its future tell each other.
struct Answer<T> {
    answer: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

impl<T: 'static> WaitingForCompletion<T> {
    pub(crate) fn new<A>(number: u32, waker: &Waker, give_up: fn(u32)) -> Self
    where
        A: for<'a> Callout<Answer<'a> = T, Started = u32>,
    {
        let shared = Rc::new(Answer { answer: Cell::new(None), waker: Cell::new(Some(waker.clone())) });
        let completion = Rc::clone(&shared);
        let then = move |_: &mut dyn core::any::Any, answer: T| {
            completion.answer.set(Some(answer));
            if let Some(waker) = completion.waker.take() {
                waker.wake();
            }
            Ok(())
        };
        // The future gives it up when it is dropped: whichever context has polled it first may be gone before.
        A::wait(number, NOBODY, Completion::Context(Box::new(then)));
        Self { number, shared, give_up }
    }

    pub(crate) fn look(&self, waker: &Waker) -> Option<T> {
        let answer = self.shared.answer.take();
        if answer.is_none() {
            self.shared.waker.set(Some(waker.clone()));
        }
        answer
    }
}

impl<T> core::fmt::Debug for WaitingForCompletion<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WaitingForCompletion").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<T> Drop for WaitingForCompletion<T> {
    fn drop(&mut self) {
        (self.give_up)(self.number);
    }
}
