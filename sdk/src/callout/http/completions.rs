//! HTTP calls whose completion is a closure.

use crate::callout::completion::{Callout, Completion};
use crate::callout::error::CalloutError;
use crate::callout::http::HttpCall;
use crate::callout::http::response::HttpCallResponse;
use crate::callout::pending::Pendings;
use crate::callout::ready::{Ready, ReadyList};
use crate::callout::start;
use crate::engine::callbacks::Awaits;
use crate::error;

thread_local! {
    static HTTP_CALLS: Pendings<Completion<HttpCall>> = const { Pendings::new() };
    static READY: ReadyList<HttpCall> = const { ReadyList::new() };
}

impl Callout for HttpCall {
    type Answer<'a> = Result<&'a HttpCallResponse, CalloutError>;
    type Started = u32;

    #[inline]
    fn start(self) -> Result<u32, Self::Answer<'static>> {
        Self::start(self).map_err(Err)
    }

    #[inline]
    fn wait(number: u32, context_id: u32, waiting: Completion<Self>) {
        HTTP_CALLS.with(|calls| calls.insert(number, context_id, waiting));
    }

    #[inline]
    fn is_ready(waiting: Completion<Self>, answer: Self::Answer<'static>) {
        READY.with(|ready| ready.add(waiting, answer));
    }
}

/// The context that made a call, and its completion. The call of a stream that is over is not known any more.
#[inline]
pub(crate) fn take(token: u32) -> Option<(u32, Completion<HttpCall>)> {
    HTTP_CALLS.with(|calls| calls.take(token))
}

/// Takes a completion of a call that was refused while another completion ran.
pub(crate) fn take_ready() -> Option<Box<Ready<HttpCall>>> {
    READY.with(ReadyList::take)
}

/// Drops the completions of a context that is gone.
#[inline]
pub(crate) fn cancel_all(owner: u32) {
    HTTP_CALLS.with(|calls| calls.forget(owner));
}

impl HttpCall {
    /// Makes the call and goes on. `then` runs when the answer is there, or at once if the call cannot be made (after the completion that runs, if
    /// this is called in one), and not at all if the context is gone first.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there. Nothing of a stream is in reach of the completion: it
    /// does not know which part of it there is then. [`pause_for`](crate::RequestHeaders::pause_for) does.
    ///
    /// ```
    /// use proxy_filter::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[derive(Default)]
    /// struct Root {
    ///     keys: Vec<u8>,
    /// }
    ///
    /// #[proxy_filter::root(http_calls)]
    /// impl RootContext for Root {
    ///     type Context = Stream;
    ///
    ///     fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///         let call = HttpCall::get("keys", "/jwks.json").timeout(Duration::from_secs(2));
    ///         call.send(self, |root, answer| {
    ///             root.keys = answer?.body()?;
    ///             Ok(())
    ///         })
    ///     }
    ///
    ///     fn new_context(&self) -> Stream {
    ///         Stream
    ///     }
    /// }
    ///
    /// struct Stream;
    ///
    /// #[proxy_filter::context]
    /// impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// What `then` returns when it runs at once. An `Err` it returns later is logged, and nothing else happens.
    pub fn send<C, F>(self, context: &mut C, then: F) -> error::Result<()>
    where
        C: Awaits<Self>,
        F: for<'a> FnOnce(&mut C, core::result::Result<&'a HttpCallResponse, CalloutError>) -> error::Result<()>
            + 'static,
    {
        start::send(context, self, then)
    }
}
