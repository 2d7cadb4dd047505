//! gRPC calls in flight.

use crate::abi::buffer_type::BufferType;
use crate::callout::completion::{Callout, Completion};
use crate::callout::future::{Awaitable, CalloutFuture};
use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
use crate::callout::registry::{Kind, Registry};
use crate::callout::start;
use crate::engine::callbacks::Awaits;
use crate::engine::point::Points;
use crate::error::{Error, Result};
use crate::host::buffer;
use crate::sys;

thread_local! {
    static CALLS: Registry<GrpcCall<GrpcBytes>> = const { Registry::new() };
}

/// The calls of every type of message: the bytes are decoded for what waits.
impl Kind for GrpcCall<GrpcBytes> {
    type Completion = Completion<Self>;
    type Arrived = Result<GrpcBytes, GrpcError>;
    type Output = Result<GrpcBytes, GrpcError>;
    type Ready = (Completion<Self>, GrpcError);

    #[inline]
    fn registry<T>(body: impl FnOnce(&Registry<Self>) -> T) -> Option<T> {
        CALLS.try_with(body).ok()
    }

    #[inline]
    fn copy(arrived: Self::Arrived) -> Self::Output {
        arrived
    }

    #[inline]
    fn cancel(token: u32) {
        // The host may be in the middle of forgetting it as well.
        let _ = sys::proxy_grpc_cancel(token);
    }
}

impl<Reply: GrpcMessage> Callout for GrpcCall<Reply> {
    type Response<'a> = Result<Reply, GrpcError>;
    type Started = u32;

    fn start(self) -> Result<u32, Self::Response<'static>> {
        Self::start(self).map_err(Err)
    }

    fn is_ready(completion: Completion<Self>, response: Self::Response<'static>) {
        // No message has arrived that would have to be decoded: the call was refused.
        if let Err(why) = response {
            CALLS.with(|calls| calls.add_ready((completion.after(decode), why)));
        }
    }

    fn wait(token: u32, context_id: u32, completion: Completion<Self>) {
        CALLS.with(|calls| calls.insert(token, context_id, completion.after(decode)));
    }
}

impl<Reply: GrpcMessage> Awaitable for GrpcCall<Reply> {
    type Output = Result<Reply, GrpcError>;
    type Kind = GrpcCall<GrpcBytes>;

    const DECLARED: (Points, &'static str) = (Points::GRPC_CALLS, "grpc_calls");

    fn output(output: Result<GrpcBytes, GrpcError>) -> Self::Output {
        decode(output)
    }

    fn not_started(response: Self::Response<'static>) -> Self::Output {
        response
    }

    fn refuse(error: Error) -> Self::Output {
        Err(GrpcError::Refused(error))
    }
}

impl<Reply: GrpcMessage> IntoFuture for GrpcCall<Reply> {
    type Output = Result<Reply, GrpcError>;
    type IntoFuture = CalloutFuture<Self>;

    fn into_future(self) -> CalloutFuture<Self> {
        CalloutFuture::new(self)
    }
}

fn decode<Reply: GrpcMessage>(response: Result<GrpcBytes, GrpcError>) -> Result<Reply, GrpcError> {
    response.and_then(|message| Reply::from_wire(message.0).map_err(GrpcError::Malformed))
}

/// The message that the running callback is about.
#[inline]
pub(crate) fn message(size: u32) -> Result<GrpcBytes, GrpcError> {
    buffer::whole(BufferType::GRPC_MESSAGE, size).map(GrpcBytes).map_err(GrpcError::Refused)
}

/// Why the call or stream ended that the running callback is about.
#[inline]
pub(crate) fn end(code: u32) -> GrpcError {
    GrpcError::ended(code, &sys::proxy_get_status().unwrap_or_default().1)
}

impl<Reply: GrpcMessage> GrpcCall<Reply> {
    /// Makes the call and goes on. `then` runs when the answer is there, or at once if the call cannot be made, and not at all if the
    /// context is gone first: the call is cancelled then.
    ///
    /// In any callback of a stream or a root context; `context` is `self` there. Nothing of a stream is in reach of the completion: it
    /// does not know which part of it there is then. [`pause_for`](crate::RequestHeaders::pause_for) does.
    ///
    /// ```
    /// # use proxy_filter::prelude::*;
    /// # use proxy_filter::GrpcBytes;
    /// # #[derive(Default)] struct Root { keys: Vec<u8> }
    /// # #[proxy_filter::root(grpc_calls)] impl RootContext for Root { type Context = Stream; fn new_context(&self) -> Stream { Stream }
    /// fn on_configure(&mut self, _configuration: Configuration) -> Result<()> {
    ///     let call = GrpcCall::<GrpcBytes>::new("keys", "keys.Keys", "Current", &GrpcBytes::default());
    ///     call.send(self, |root, answer| {
    ///         root.keys = answer?.0;
    ///         Ok(())
    ///     })
    /// }
    /// # }
    /// # struct Stream;
    /// # #[proxy_filter::context] impl Context for Stream {}
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// What `then` returns when it runs at once. An `Err` it returns later is logged, and nothing else happens.
    pub fn send<C, F>(self, context: &mut C, then: F) -> Result<()>
    where
        C: Awaits<Self>,
        F: FnOnce(&mut C, Result<Reply, GrpcError>) -> Result<()> + 'static,
    {
        start::send(context, self, then)
    }
}
