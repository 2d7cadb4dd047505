//! HTTP calls in flight.

use crate::callout::completion::{Callout, Completion};
use crate::callout::error::{CalloutError, Outage};
use crate::callout::future::{AwaitableCallout, CalloutFuture};
use crate::callout::http::HttpCall;
use crate::callout::http::response::{HttpCallResponse, InHost};
use crate::callout::registry::{Kind, Registry};
use crate::callout::start;
use crate::engine::callbacks::Declares;
use crate::engine::point::Points;
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

    const DECLARED: (Points, &'static str) = (Points::HTTP_CALLS, "http_calls");

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
    /// What `then` returns when it runs at once. An `Err` it returns later is logged, and nothing else happens.
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
