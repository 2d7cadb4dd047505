//! gRPC calls: their completions, and the host's callbacks about them.

use super::callout::{self, Callout, Waiting};
use super::ready::ReadyList;
use super::{Awaits, CallbackSet, NewContext, Runtime, grpc_streams};
use crate::abi::BufferType;
use crate::buffer;
use crate::error::Result;
use crate::grpc::{GrpcBytes, GrpcCall, GrpcError, GrpcMessage};
use crate::runtime::{Callback, NOBODY, Pendings, current};
use crate::sys;

thread_local! {
    static CALLS: Pendings<Call> = const { Pendings::new() };
    static READY: ReadyList<GrpcCall<GrpcBytes>> = const { ReadyList::new() };
}

/// A call that is under way, with what to do with the bytes that answer it. Dropping it cancels the call.
struct Call {
    token: u32,
    /// The root context that the host will tell the answer to, in modules with futures.
    root: u32,
    waiting: Option<Waiting<GrpcCall<GrpcBytes>>>,
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if self.waiting.is_some() {
            // The host may be in the middle of forgetting it as well.
            let _ = sys::proxy_grpc_cancel(self.token);
        }
    }
}

impl<Reply: GrpcMessage> Callout for GrpcCall<Reply> {
    type Answer<'a> = Result<Reply, GrpcError>;
    type Started = u32;

    fn start(self) -> Result<u32, Self::Answer<'static>> {
        Self::start(self).map_err(Err)
    }

    fn is_ready(waiting: Waiting<Self>, answer: Self::Answer<'static>) {
        // Nothing has come that would have to be decoded: it was refused.
        if let Err(why) = answer {
            READY.with(|ready| ready.add(waiting.after(decode), Err(why)));
        }
    }

    fn wait(number: u32, context_id: u32, waiting: Waiting<Self>) {
        let waiting = Some(waiting.after(decode));
        CALLS.with(|calls| {
            // A host that uses a token again has forgotten the old call, and must not cancel the new one.
            if let Some((_, mut old)) = calls.take(number) {
                old.waiting = None;
            }
            calls.insert(number, context_id, Call { token: number, root: current::root_id(), waiting });
        });
    }
}

fn decode<Reply: GrpcMessage>(answer: Result<GrpcBytes, GrpcError>) -> Result<Reply, GrpcError> {
    answer.and_then(|message| Reply::from_wire(message.0).map_err(GrpcError::Malformed))
}

/// Cancels the calls of a context that is gone.
#[inline]
pub(super) fn forget(owner: u32) {
    CALLS.with(|calls| calls.forget(owner));
}

/// Nobody waits for this answer any more.
#[inline]
pub(super) fn give_up(number: u32) {
    // Contexts alive at the end of a native thread are dropped when there may be no table any more.
    drop(CALLS.try_with(|calls| calls.take(number)));
}

/// The context that made a call, and its completion.
#[inline]
fn take(token: u32) -> Option<(u32, Waiting<GrpcCall<GrpcBytes>>)> {
    let (owner, mut call) = CALLS.with(|calls| calls.take(token))?;
    Some((owner, call.waiting.take()?))
}

/// The message that the running callback is about.
#[inline]
pub(super) fn message(size: u32) -> Result<GrpcBytes, GrpcError> {
    buffer::whole(BufferType::GRPC_MESSAGE, size).map(GrpcBytes).map_err(GrpcError::Refused)
}

/// Why the call or stream ended that the running callback is about.
#[inline]
pub(super) fn end(code: u32) -> GrpcError {
    GrpcError::ended(code, &sys::proxy_get_status().unwrap_or_default().1)
}

impl<R: NewContext> Runtime<R> {
    /// Runs the completions of calls that were refused while another completion ran.
    pub(super) fn run_ready_grpc_calls(&self) {
        while let Some(ready) = READY.with(ReadyList::take) {
            self.complete(Callback::GRPC_CALL, ready.owner, ready.waiting, ready.answer);
        }
    }

    /// What a call waits for, in modules that make any.
    #[inline]
    fn take_call(token: u32) -> Option<(u32, Waiting<GrpcCall<GrpcBytes>>)> {
        if Self::AWAITED.intersects(CallbackSet::GRPC_CALLS) { take(token) } else { None }
    }

    /// `proxy_on_grpc_receive`: the answer to a call, or a message of a stream.
    pub fn on_grpc_receive(&self, root: u32, token: u32, size: u32) {
        Self::enter_root(root);
        if let Some((owner, waiting)) = Self::take_call(token) {
            self.complete(Callback::GRPC_CALL, owner, waiting, message(size));
            return self.after_root_callback(root);
        }
        if Self::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
            self.grpc_message(root, token, size);
        }
    }

    /// `proxy_on_grpc_close`: a call without an answer, or the end of a stream.
    pub fn on_grpc_close(&self, root: u32, token: u32, code: u32) {
        Self::enter_root(root);
        if let Some((owner, waiting)) = Self::take_call(token) {
            self.complete(Callback::GRPC_CALL, owner, waiting, Err(end(code)));
            return self.after_root_callback(root);
        }
        if Self::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
            self.grpc_closed(root, token, code);
        }
    }

    /// A root context is gone, and what the host did over gRPC for it: futures of other contexts that wait for that get an error.
    #[cold]
    pub(super) fn abandon_grpc(&self, root: u32) {
        if Self::TASKS && Self::AWAITED.intersects(CallbackSet::GRPC_CALLS) {
            while let Some(mut call) = CALLS.with(|calls| calls.take_of_nobody(|call| call.root == root)) {
                if let Some(waiting) = call.waiting.take() {
                    self.complete(Callback::GRPC_CALL, NOBODY, waiting, Err(GrpcError::abandoned()));
                }
            }
        }
        if Self::AWAITED.intersects(CallbackSet::GRPC_STREAMS) {
            grpc_streams::abandon(root);
            self.deliver_messages();
        }
    }
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
        callout::send(context, self, then)
    }
}
