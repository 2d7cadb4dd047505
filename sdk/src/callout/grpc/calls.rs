//! gRPC calls in flight.

use crate::abi::buffer_type::BufferType;
use crate::callout::completion::{Callout, Completion};
use crate::callout::future::{AwaitableCallout, CalloutFuture};
use crate::callout::grpc::call::GrpcCall;
use crate::callout::grpc::error::GrpcError;
use crate::callout::grpc::message::{GrpcBytes, GrpcMessage};
use crate::callout::registry::{Kind, Registry};
use crate::engine::point::{Points, not_exported};
use crate::error::{Error, Result};
use crate::host::buffer;
use crate::sys;

thread_local! {
    static CALLS: Registry<GrpcCall<GrpcBytes>> = const { Registry::new() };
}

/// The calls of every type of message. The completion or future decodes the bytes.
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

impl<Reply: GrpcMessage> AwaitableCallout for GrpcCall<Reply> {
    type Output = Result<Reply, GrpcError>;
    type Kind = GrpcCall<GrpcBytes>;

    const DECLARED: (Points, &'static str) = (Points::GRPC_CALLS, not_exported!("grpc_calls"));

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
