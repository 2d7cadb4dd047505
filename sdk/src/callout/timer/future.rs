//! Timers as futures.

use crate::callout::awaited::{Awaitable, Awaited, WaitingForCompletion};
use crate::callout::timer::{Timer, timers};
use crate::engine::point::Points;
use crate::error::{Error, Result};
use core::task::Waker;

impl Awaitable for Timer {
    type Output = Result<()>;
    type Waiting = WaitingForCompletion<Self::Output>;

    const DECLARED: (Points, &'static str) = (Points::TIMERS, "timers");

    #[inline]
    fn expect(number: u32, waker: &Waker) -> Self::Waiting {
        WaitingForCompletion::new::<Self>(number, waker, timers::give_up)
    }

    #[inline]
    fn look(waiting: &Self::Waiting, waker: &Waker) -> Option<Self::Output> {
        waiting.look(waker)
    }

    #[inline]
    fn not_started(answer: Self::Answer<'static>) -> Self::Output {
        answer
    }

    #[inline]
    fn refuse(error: Error) -> Self::Output {
        Err(error)
    }
}

impl IntoFuture for Timer {
    type Output = Result<()>;
    type IntoFuture = Awaited<Self>;

    #[inline]
    fn into_future(self) -> Awaited<Self> {
        Awaited::new(self)
    }
}
