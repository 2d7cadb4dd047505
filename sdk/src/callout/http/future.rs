//! HTTP calls as futures.

use crate::callout::answers::{Answers, Ticket};
use crate::callout::awaited::{Awaitable, Awaited};
use crate::callout::error::{CalloutError, Outage};
use crate::callout::http::HttpCall;
use crate::callout::http::answer::HttpAnswer;
use crate::engine::point::Points;
use crate::error::Error;
use core::task::Waker;

type HttpOutcome = core::result::Result<HttpAnswer, CalloutError>;

/// The size of an answer's body, and the number of its trailers.
type HttpHere = (u32, u32);

thread_local! {
    static HTTP_ANSWERS: Answers<HttpOutcome, HttpHere> = const { Answers::new() };
}

/// Where a future waits for the answer to this call, if one does.
#[inline]
pub(crate) fn who_waits_for(token: u32) -> Option<Ticket<HttpOutcome, HttpHere>> {
    HTTP_ANSWERS.with(|answers| answers.take(token))
}

/// A root context is gone, and the host's calls for it with it.
#[cold]
pub(crate) fn abandon(root: u32) {
    HTTP_ANSWERS.with(|answers| answers.abandon(root, || Err(CalloutError::Outage(Outage::Reset))));
}

/// A future that waits for the answer to an [`HttpCall`].
pub struct WaitingForHttp(Ticket<HttpOutcome, HttpHere>);

impl core::fmt::Debug for WaitingForHttp {
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WaitingForHttp").finish_non_exhaustive()
    }
}

impl Drop for WaitingForHttp {
    #[inline]
    fn drop(&mut self) {
        // Contexts alive at the end of a native thread are dropped when there may be no table any more.
        let _ = HTTP_ANSWERS.try_with(|answers| answers.give_back(self.0));
    }
}

impl Awaitable for HttpCall {
    type Output = HttpOutcome;
    type Waiting = WaitingForHttp;

    const DECLARED: (Points, &'static str) = (Points::HTTP_CALLS, "http_calls");

    #[inline]
    fn expect(number: u32, waker: &Waker) -> WaitingForHttp {
        WaitingForHttp(HTTP_ANSWERS.with(|answers| answers.expect(number, waker)))
    }

    #[inline]
    fn look(waiting: &WaitingForHttp, waker: &Waker) -> Option<HttpOutcome> {
        waiting.0.look(waker, HttpAnswer::fetch)
    }

    #[inline]
    fn not_started(answer: Self::Answer<'static>) -> Self::Output {
        Err(answer.err().unwrap_or(CalloutError::Outage(Outage::Reset)))
    }

    #[inline]
    fn refuse(error: Error) -> Self::Output {
        Err(CalloutError::Refused(error))
    }
}

impl IntoFuture for HttpCall {
    type Output = core::result::Result<HttpAnswer, CalloutError>;
    type IntoFuture = Awaited<Self>;

    #[inline]
    fn into_future(self) -> Awaited<Self> {
        Awaited::new(self)
    }
}
