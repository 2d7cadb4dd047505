//! [`Callout`]: what a filter can wait for; and waiting for it, with a part of a stream held or without.

use super::failure::Raw;
use super::held::Part;
use super::stream::Side;
use super::{Awaits, ready};
use crate::body::{Edits, RequestBody, ResponseBody};
use crate::callout_error::CalloutError;
use crate::error::Result;
use crate::filter_status::{FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus};
use crate::headers::{ContentLength, RequestHeaders, RequestTrailers, ResponseHeaders, ResponseTrailers};
use crate::http_call::{HttpCall, HttpCallResponse};
use crate::tcp::{DownstreamData, NetworkFilterStatus};
use core::any::Any;
use core::fmt;

/// Something a filter starts and waits for: an [`HttpCall`], a [`GrpcCall`](crate::GrpcCall), the next message of a gRPC stream
/// ([`ConnectedGrpcStream::receive`](crate::ConnectedGrpcStream::receive)), or a [`Timer`](crate::Timer).
///
/// Only this crate implements it.
pub trait Callout: Sized + 'static {
    /// What the completion receives.
    type Answer<'a>;

    /// What it is known by while it is under way: the number under which the host, or the SDK, will tell the answer, at least.
    #[doc(hidden)]
    type Started: 'static;

    /// Starts it; or gives the answer, if there is one already.
    #[doc(hidden)]
    fn start(self) -> core::result::Result<Self::Started, Self::Answer<'static>>;

    /// Remembers what a context does with the answer.
    #[doc(hidden)]
    fn wait(started: Self::Started, context_id: u32, waiting: Waiting<Self>);

    /// Remembers what the running context does with an answer that is there already, after the completion that runs.
    #[doc(hidden)]
    fn is_ready(waiting: Waiting<Self>, answer: Self::Answer<'static>);
}

/// What to do with an answer. Completions know the type of their context; what keeps them does not.
pub enum Waiting<A: Callout> {
    /// The completion of a held part of a stream.
    Message(Part, Box<OnMessage<A>>),
    /// Any other.
    Context(Box<OnContext<A>>),
}

impl<A: Callout> fmt::Debug for Waiting<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

#[cfg(feature = "grpc")]
impl<A: Callout> Waiting<A> {
    /// The same for another callout, of whose answers `make` makes those that are waited for.
    #[inline]
    pub(super) fn after<B, X: 'static, Y>(self, make: impl FnOnce(Y) -> X + 'static) -> Waiting<B>
    where
        A: for<'a> Callout<Answer<'a> = X>,
        B: for<'a> Callout<Answer<'a> = Y>,
    {
        match self {
            Self::Message(part, then) => {
                Waiting::Message(part, Box::new(move |context, side, answer| then(context, side, make(answer))))
            }
            Self::Context(then) => Waiting::Context(Box::new(move |context, answer| then(context, make(answer)))),
        }
    }
}

type OnMessage<A> = dyn for<'a> FnOnce(&mut dyn Any, &Side, <A as Callout>::Answer<'a>) -> Result<Raw>;
type OnContext<A> = dyn for<'a> FnOnce(&mut dyn Any, <A as Callout>::Answer<'a>) -> Result<()>;

/// Starts a callout without holding anything.
pub(super) fn send<C, A, F>(context: &mut C, callout: A, then: F) -> Result<()>
where
    C: Awaits<A>,
    A: Callout,
    F: for<'a> FnOnce(&mut C, A::Answer<'a>) -> Result<()> + 'static,
{
    match callout.start() {
        Err(answer) if !ready::is_completion() => ready::completion(|| then(context, answer)),
        started => {
            let then: Box<OnContext<A>> = Box::new(move |context, answer| match context.downcast_mut() {
                Some(context) => then(context, answer),
                // The number was another context's: a host that uses one twice.
                None => Ok(()),
            });
            ready::wait(started, Waiting::Context(then));
            Ok(())
        }
    }
}

impl HttpCall {
    /// Makes the call and goes on. `then` runs when the answer is there, or at once if the call cannot be made (after the completion that runs, if
    /// this is called in one), and not at all if the context is gone first.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there. Nothing of a stream is in reach of the completion: it
    /// does not know which part of it there is then. [`pause_for`](RequestHeaders::pause_for) does.
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
    pub fn send<C, F>(self, context: &mut C, then: F) -> Result<()>
    where
        C: Awaits<Self>,
        F: for<'a> FnOnce(&mut C, core::result::Result<&'a HttpCallResponse, CalloutError>) -> Result<()> + 'static,
    {
        send(context, self, then)
    }
}

/// The methods that hold a part of a stream: how the handle comes back in the completion, and what it leaves.
macro_rules! pause {
    ($handle:ident, $part:ident, $status:ident, |$side:ident| $held:expr, |$handled:ident| $left:expr) => {
        impl $handle {
            /// Holds this part of the stream, and all after it, until an answer is there.
            ///
            /// Return what this returns. `then` runs when the answer is there: with the context (`context` is `self` in a callback), with this
            /// handle as it is then, and with the answer. It returns what the callback would: `Continue` lets go, a reply ends the stream, and
            /// another pause goes on holding. If the answer is there already, or the callout cannot be started, `then` runs at once; after the
            /// completion that runs, if this is called in one.
            ///
            /// Several may hold the same part, with `PAUSE` returned until the last; what lets go first lets go, and the completions of the
            /// others are dropped without being run. They are dropped too when the stream ends first.
            ///
            /// # Errors
            /// What `then` returns when it runs at once. An `Err` it returns later is handled as one of the callback: by the failure policy.
            pub fn pause_for<C, A, F>(&mut self, context: &mut C, callout: A, then: F) -> Result<$status>
            where
                C: Awaits<A>,
                A: Callout,
                F: for<'a> FnOnce(&mut C, &mut Self, A::Answer<'a>) -> Result<$status> + 'static,
            {
                match callout.start() {
                    Err(answer) if !ready::is_completion() => ready::completion(|| then(context, self, answer)),
                    started => {
                        let then: Box<OnMessage<A>> = Box::new(move |context, $side, answer| {
                            let Some(context) = context.downcast_mut() else { return Ok($status::PAUSE.into_raw()) };
                            let mut $handled = $held;
                            let status = then(context, &mut $handled, answer)?;
                            $left;
                            Ok(status.into_raw())
                        });
                        ready::wait(started, Waiting::Message(Part::$part, then));
                        Ok($status::PAUSE)
                    }
                }
            }
        }
    };
    (headers $handle:ident, $part:ident) => {
        pause!($handle, $part, FilterHeadersStatus, |side| Self::new(side.content_length()), |handle| side
            .set_content_length(handle.content_length()));
    };
    (body $handle:ident, $part:ident) => {
        pause!($handle, $part, FilterDataStatus, |side| Self::new(side.buffered.get(), edits(side)), |handle| side
            .buffered
            .set(handle.len()));
    };
    (data $handle:ident, $part:ident) => {
        pause!($handle, $part, NetworkFilterStatus, |side| Self::new(side.buffered.get()), |handle| side
            .buffered
            .set(handle.len()));
    };
    (trailers $handle:ident, $part:ident) => {
        pause!($handle, $part, FilterTrailersStatus, |_side| Self::new(ContentLength::Kept), |handle| ());
    };
}

/// What of a held body may be edited.
#[inline]
fn edits(side: &Side) -> Edits {
    if side.buffered.get() == 0 { Edits::Impossible } else { side.content_length().into() }
}

pause!(headers RequestHeaders, RequestHeaders);
pause!(headers ResponseHeaders, ResponseHeaders);
pause!(body RequestBody, RequestBody);
pause!(body ResponseBody, ResponseBody);
pause!(trailers RequestTrailers, RequestTrailers);
pause!(trailers ResponseTrailers, ResponseTrailers);
pause!(data DownstreamData, DownstreamData);
