//! Callouts as futures.

use crate::callout::completion::Callout;
use crate::callout::registry::{Kind, Ticket};
use crate::engine::declared::{self, Points};
use crate::error::Error;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// A callout as a future. Made by `.await`, or by [`into_future`](IntoFuture::into_future) for
/// combinators such as `join`.
///
/// The callout starts when the future is first polled. Dropping the future cancels the callout.
#[must_use = "a callout does nothing unless it is awaited"]
pub struct CalloutFuture<A: AwaitableCallout>(State<A>);

enum State<A: AwaitableCallout> {
    New(Option<A>),
    InFlight(InFlight<A::Kind>),
}

impl<A: AwaitableCallout> CalloutFuture<A> {
    #[inline]
    pub(crate) const fn new(callout: A) -> Self {
        Self(State::New(Some(callout)))
    }
}

impl<A: AwaitableCallout> core::fmt::Debug for CalloutFuture<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CalloutFuture").finish_non_exhaustive()
    }
}

/// A callout that can be awaited. Only this crate implements it.
pub trait AwaitableCallout: Callout<Started = u32> + Unpin {
    /// What the future returns.
    type Output: 'static;

    #[doc(hidden)]
    type Kind: Kind;

    /// What the module must export, and the error without that.
    #[doc(hidden)]
    const DECLARED: (Points, &'static str);

    /// What the future returns for what its callout completed with.
    #[doc(hidden)]
    fn output(output: <Self::Kind as Kind>::Output) -> Self::Output;

    /// What the future returns if the callout could not be started.
    #[doc(hidden)]
    fn not_started(response: Self::Response<'static>) -> Self::Output;

    #[doc(hidden)]
    fn refuse(error: Error) -> Self::Output;
}

impl<A: AwaitableCallout> Future for CalloutFuture<A> {
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
                    Err(response) => Poll::Ready(A::not_started(response)),
                    Ok(number) => {
                        if let Some(in_flight) = InFlight::expect(number, context.waker()) {
                            // The callout was taken out: nothing is dropped.
                            core::mem::forget(core::mem::replace(&mut self.0, State::InFlight(in_flight)));
                        }
                        Poll::Pending
                    }
                }
            }
            State::InFlight(in_flight) => {
                let Some(output) = in_flight.poll(context.waker()) else { return Poll::Pending };
                if let State::InFlight(in_flight) = core::mem::replace(&mut self.0, State::New(None)) {
                    in_flight.finish();
                }
                Poll::Ready(A::output(output))
            }
        }
    }
}

/// The callout that a future waits for. Dropping it cancels the callout.
pub(crate) struct InFlight<K: Kind>(Ticket<K>);

impl<K: Kind> InFlight<K> {
    /// Registers a future for the callout with this number.
    #[inline]
    pub(crate) fn expect(number: u32, waker: &Waker) -> Option<Self> {
        K::registry(|registry| Self(registry.expect(number, waker)))
    }

    #[inline]
    pub(crate) fn poll(&self, waker: &Waker) -> Option<K::Output> {
        self.0.poll(waker)
    }

    /// Releases the callout, whose output was taken.
    #[inline]
    fn finish(self) {
        let _ = K::registry(|registry| registry.release(self.0));
        core::mem::forget(self);
    }
}

impl<K: Kind> Drop for InFlight<K> {
    #[inline]
    fn drop(&mut self) {
        // The thread-local registry may already be destroyed when a native thread ends with live
        // contexts.
        let _ = K::registry(|registry| registry.give_back(self.0));
    }
}

impl<K: Kind> core::fmt::Debug for InFlight<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}
