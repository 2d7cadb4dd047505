//! HTTP calls in flight.

use crate::callout::completion::{Callout, Completion};
use crate::callout::error::{CalloutError, Outage};
use crate::callout::future::{AwaitableCallout, CalloutFuture};
use crate::callout::http::HttpCall;
use crate::callout::http::response::{HttpCallResponse, InHost};
use crate::callout::registry::{Kind, Registry};
use crate::callout::start;
use crate::engine::callbacks::Declares;
use crate::engine::point::{Points, not_exported};
use crate::error::{self, Error};

thread_local! {
    static HTTP_CALLS: Registry<HttpCall> = const { Registry::new() };
}

impl Kind for HttpCall {
    type Completion = Completion<Self>;
    /// The size of the body, and the number of trailers.
    type Arrived = (u32, u32);
    type Output = Result<HttpCallResponse, CalloutError>;
    type Ready = (Completion<Self>, CalloutError);

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        HTTP_CALLS.try_with(body).ok()
    }

    #[inline]
    fn copy((body_size, number_of_trailers): (u32, u32)) -> Self::Output {
        HttpCallResponse::copy(body_size, number_of_trailers)
    }
}

impl Callout for HttpCall {
    type Response<'a> = Result<&'a HttpCallResponse<InHost>, CalloutError>;
    type Started = u32;

    #[inline]
    fn start(self) -> Result<u32, Self::Response<'static>> {
        Self::start(self).map_err(Err)
    }

    #[inline]
    fn wait(token: u32, context_id: u32, completion: Completion<Self>) {
        HTTP_CALLS.with(|calls| calls.insert(token, context_id, completion));
    }

    #[inline]
    fn is_ready(completion: Completion<Self>, response: Self::Response<'static>) {
        // A call that was refused.
        if let Err(why) = response {
            HTTP_CALLS.with(|calls| calls.add_ready((completion, why)));
        }
    }
}

impl AwaitableCallout for HttpCall {
    type Output = Result<HttpCallResponse, CalloutError>;
    type Kind = Self;

    const DECLARED: (Points, &'static str) = (Points::HTTP_CALLS, not_exported!("http_calls"));

    #[inline]
    fn output(output: Self::Output) -> Self::Output {
        output
    }

    #[inline]
    fn not_started(response: Self::Response<'static>) -> Self::Output {
        Err(response.err().unwrap_or(CalloutError::Outage(Outage::Reset)))
    }

    #[inline]
    fn refuse(error: Error) -> Self::Output {
        Err(CalloutError::Refused(error))
    }
}

impl IntoFuture for HttpCall {
    type Output = Result<HttpCallResponse, CalloutError>;
    type IntoFuture = CalloutFuture<Self>;

    #[inline]
    fn into_future(self) -> CalloutFuture<Self> {
        CalloutFuture::new(self)
    }
}

impl HttpCall {
    /// Sends the call and returns without pausing the stream. `then` runs when the call completes.
    /// If the call cannot be made, `then` runs at once; inside another completion, it runs after
    /// that completion. If the context is deleted first, the call is cancelled and `then` does not
    /// run.
    ///
    /// May be called in any callback of a stream or a root context. `context` is `self` of the
    /// callback. The completion has no handle of the stream, because the state of the stream is not
    /// known then. To get a handle, use [`pause_for`](crate::RequestHeaders::pause_for).
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
    ///         call.send(self, |root, response| {
    ///             root.keys = response?.body()?.into_owned();
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
    /// Fails with the error of `then` when `then` runs at once. An `Err` that `then` returns later
    /// is only logged.
    pub fn send<C, F>(self, context: &mut C, then: F) -> error::Result<()>
    where
        C: Declares<Self>,
        F: for<'a> FnOnce(
                &mut C,
                core::result::Result<&'a HttpCallResponse<InHost>, CalloutError>,
            ) -> error::Result<()>
            + 'static,
    {
        start::send(context, self, then)
    }
}
