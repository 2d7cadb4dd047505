//! [`Callout`]: an operation that completes later, and its completion.

use crate::engine::message_state::{MessageState, Part};
use crate::error::Result;
use crate::error::denial::Raw;
use core::any::Any;
use core::fmt;

/// An operation that a filter starts and that completes later: an
/// [`HttpCall`](crate::callout::HttpCall), a [`GrpcCall`](crate::grpc::GrpcCall), the next message
/// of a gRPC stream ([`GrpcDuplex::receive`](crate::grpc::GrpcDuplex::receive)), or a
/// [`Timer`](crate::timer::Timer).
///
/// Only this crate implements it.
pub trait Callout: Sized + 'static {
    /// What the completion receives.
    type Response<'a>;

    /// Identifies the callout while it is in flight. It contains at least the number with which the
    /// host, or the SDK, reports the completion.
    #[doc(hidden)]
    type Started: 'static;

    /// Starts the callout. Returns the response instead if the callout completed at once.
    #[doc(hidden)]
    fn start(self) -> core::result::Result<Self::Started, Self::Response<'static>>;

    /// Remembers what a context does with the response.
    #[doc(hidden)]
    fn wait(started: Self::Started, context_id: u32, waiting: Completion<Self>);

    /// Stores the completion of a callout that completed at once. It runs after the completion that
    /// is running now.
    #[doc(hidden)]
    fn is_ready(waiting: Completion<Self>, response: Self::Response<'static>);
}

/// The completion of a callout. A completion knows the type of its context; the registry that
/// stores it does not.
pub enum Completion<A: Callout> {
    /// The completion of a callout that pauses a part of a stream.
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
    /// Converts this completion into the completion of another callout. `make` converts the
    /// response of that callout into the response that this completion expects.
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
