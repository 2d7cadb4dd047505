//! [`Callout`]: what a filter can wait for, and what happens when it completes.

use crate::engine::held::Part;
use crate::engine::message_state::MessageState;
use crate::error::Result;
use crate::error::denial::Raw;
use core::any::Any;
use core::fmt;

/// Something a filter starts and waits for: an [`HttpCall`](crate::callout::HttpCall), a [`GrpcCall`](crate::grpc::GrpcCall), the next message of a gRPC stream
/// ([`GrpcDuplex::receive`](crate::grpc::GrpcDuplex::receive)), or a [`Timer`](crate::timer::Timer).
///
/// Only this crate implements it.
pub trait Callout: Sized + 'static {
    /// What the completion receives.
    type Response<'a>;

    /// What it is known by while it is under way: the number under which the host, or the SDK, will tell the response, at least.
    #[doc(hidden)]
    type Started: 'static;

    /// Starts it; or gives the response, if there is one already.
    #[doc(hidden)]
    fn start(self) -> core::result::Result<Self::Started, Self::Response<'static>>;

    /// Remembers what a context does with the response.
    #[doc(hidden)]
    fn wait(started: Self::Started, context_id: u32, waiting: Completion<Self>);

    /// Remembers what the running context does with an response that is there already, after the completion that runs.
    #[doc(hidden)]
    fn is_ready(waiting: Completion<Self>, response: Self::Response<'static>);
}

/// What to do with an response. Completions know the type of their context; what keeps them does not.
pub enum Completion<A: Callout> {
    /// The completion of a held part of a stream.
    Message(Part, Box<OnMessage<A>>),
    /// Any other.
    Context(Box<OnContext<A>>),
}

impl<A: Callout> fmt::Debug for Completion<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}

#[cfg(feature = "grpc")]
impl<A: Callout> Completion<A> {
    /// The same for another callout, of whose responses `make` makes those that are waited for.
    #[inline]
    pub(crate) fn after<B, X: 'static, Y>(self, make: impl FnOnce(Y) -> X + 'static) -> Completion<B>
    where
        A: for<'a> Callout<Response<'a> = X>,
        B: for<'a> Callout<Response<'a> = Y>,
    {
        match self {
            Self::Message(part, then) => {
                Completion::Message(part, Box::new(move |context, side, response| then(context, side, make(response))))
            }
            Self::Context(then) => {
                Completion::Context(Box::new(move |context, response| then(context, make(response))))
            }
        }
    }
}

pub(crate) type OnMessage<A> =
    dyn for<'a> FnOnce(&mut dyn Any, &MessageState, <A as Callout>::Response<'a>) -> Result<Raw>;
pub(crate) type OnContext<A> = dyn for<'a> FnOnce(&mut dyn Any, <A as Callout>::Response<'a>) -> Result<()>;
